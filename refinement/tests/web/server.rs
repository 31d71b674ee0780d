//! A running server, and a client that can also say what no browser would.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The shortest deadlock of 2011, as the README has it.
pub const DEADLOCK: &str = "v2.6.37;cpus=2,mms=1;workload=page_referenced_one,vmalloc_sync_all;start=mm0,mm0;\
                            1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*5;";

/// A configuration whose search takes minutes at least.
pub const LARGE: &str =
    "tracked;cpus=2,mms=2,pgd_free_in_irq=on;workload=everything;start=mm0,mm0;;";

/// Waiting longer than this is in vain.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server, stopped with it.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Server {
    /// Starts one on a free port and waits until it says which.
    pub fn start(more: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shootdown"))
            .args(["explore", "--bind", "127.0.0.1:0", "--seconds", "1200"])
            .args(more)
            .env_remove("RUST_LOG")
            // Each arena of glibc's keeps memory of its own, which would look like a leak.
            .env("MALLOC_ARENA_MAX", "2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let address = out
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                Some(
                    line.split_once("http://")?
                        .1
                        .trim_end_matches('/')
                        .to_string(),
                )
            })
            .and_then(|text| text.parse().ok())
            .expect("it prints its URL");
        Server { child, address }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream
    }

    /// Sends bytes and returns everything that comes back. A connection that is reset is an answer too.
    pub fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &str) -> Answer {
        let text = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        let answer = self.send(text.as_bytes());
        let code = answer.split(' ').nth(1).and_then(|c| c.parse().ok());
        let code = code.unwrap_or_else(|| panic!("{method} {path}: {answer:?}"));
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        Answer {
            code,
            head: head.to_ascii_lowercase(),
            body: body.to_string(),
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &format!("Host: {}\r\n", self.address))
    }

    /// `POST` of a text.
    #[track_caller]
    pub fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let (host, length) = (self.address, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n"
        );
        let answer = self.send(&[head.as_bytes(), body].concat());
        let code = answer.split(' ').nth(1).and_then(|c| c.parse().ok());
        let code = code.unwrap_or_else(|| panic!("POST {path}: {answer:?}"));
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        Answer {
            code,
            head: head.to_ascii_lowercase(),
            body: body.to_string(),
        }
    }

    /// `GET` of an API address with parameters, which must be answered.
    #[track_caller]
    pub fn api(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.get(&address(path, params));
        assert_eq!(answer.code, 200, "{path} {params:?}: {}", answer.body);
        answer.json()
    }

    /// The events of a stream, one by one.
    pub fn events(&self, path: &str, params: &[(&str, &str)]) -> Events {
        let mut stream = self.connect();
        let path = address(path, params);
        let text = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(text.as_bytes()).expect("it reads");
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().expect("an answer").expect("text");
        assert!(first.contains(" 200 "), "{path}: {first}");
        Events { lines }
    }

    /// How it is, by its own account.
    pub fn status(&self) -> Value {
        self.api("/api/status", &[])
    }

    /// Waits until no search runs or waits.
    pub fn idle(&self) {
        for _ in 0..600 {
            if self.status()["searches"] == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("a search goes on that nobody wants: {}", self.status());
    }

    /// What the system says about its process: threads, open files, resident bytes.
    pub fn usage(&self) -> Usage {
        let pid = self.child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let number = |key: &str| {
            let line = status.lines().find(|l| l.starts_with(key)).expect(key);
            let digits: String = line.chars().filter(char::is_ascii_digit).collect();
            digits.parse::<u64>().expect("a number")
        };
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
        Usage {
            threads: number("Threads:"),
            files: files.count(),
            resident: number("VmRSS:") * 1024,
        }
    }

    /// It lives, and had nothing to complain about.
    pub fn stop(mut self) {
        assert_eq!(self.status()["panics"], 0);
        let kill = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(kill.expect("there is a kill").success());
        let mut err = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut err).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0), "{err}");
        assert!(!err.contains("panicked") && !err.contains("error"), "{err}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the system says about a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub threads: u64,
    pub files: usize,
    pub resident: u64,
}

/// Server-sent events.
pub struct Events {
    lines: std::io::Lines<BufReader<TcpStream>>,
}

impl Iterator for Events {
    type Item = (String, Value);

    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = None;
        loop {
            // The lengths of chunks stand between, and are neither.
            let line = self.lines.next()?.ok()?;
            if let Some(event) = line.strip_prefix("event: ") {
                name = Some(event.to_string());
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).expect("JSON");
                return Some((name.unwrap_or_default(), data));
            }
        }
    }
}

impl Events {
    /// The data of the first event of that name.
    #[track_caller]
    pub fn wait_for(&mut self, name: &str) -> Value {
        for (event, data) in self.by_ref() {
            assert_ne!(event, "problem", "{data}");
            if event == name {
                return data;
            }
        }
        panic!("the stream ended without `{name}`");
    }
}

/// An address with parameters.
pub fn address(path: &str, params: &[(&str, &str)]) -> String {
    let mut text = path.to_string();
    for (i, (name, value)) in params.iter().enumerate() {
        text.push(if i == 0 { '?' } else { '&' });
        text += name;
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    text.push(byte.into());
                }
                _ => text += &format!("%{byte:02X}"),
            }
        }
    }
    text
}

/// A fixed xorshift: the same numbers every time.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Dice {
        Dice(0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
