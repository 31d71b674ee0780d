//! `explore`: what the web server answers, and to whom.

use crate::{run, shootdown};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server, stopped with it.
struct Explorer {
    child: Child,
    address: SocketAddr,
}

impl Explorer {
    /// Starts one on a free port and waits until it says which.
    fn start(more: &[&str]) -> Explorer {
        let mut child = Command::new(shootdown().get_program())
            .args(["explore", "--bind", "127.0.0.1:0", "--seconds", "600"])
            .args(more)
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
        Explorer { child, address }
    }

    /// Sends bytes and returns everything that comes back. A connection that is reset is an
    /// answer too.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let minute = Some(Duration::from_secs(60));
        stream.set_read_timeout(minute).expect("not zero");
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends bytes and waits for the first of an answer: the connection may stay open.
    fn poke(&self, bytes: &[u8]) -> usize {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let minute = Some(Duration::from_secs(60));
        stream.set_read_timeout(minute).expect("not zero");
        stream.write_all(bytes).expect("it reads");
        stream.read(&mut [0; 64]).unwrap_or(0)
    }

    fn request(&self, method: &str, path: &str, host: &str) -> (u16, String) {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = self.send(text.as_bytes());
        let code = answer.split(' ').nth(1).and_then(|c| c.parse().ok());
        let code = code.unwrap_or_else(|| panic!("{method} {path}: {answer:?}"));
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (code, body.to_string())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &self.address.to_string())
    }

    fn json(&self, path: &str) -> Value {
        let (code, body) = self.get(path);
        assert_eq!(code, 200, "{path}: {body}");
        // An answer of some size comes in chunks: the JSON is what is between their lengths.
        serde_json::from_str(&body).unwrap_or_else(|_| {
            let lines = body.split("\r\n").skip(1).step_by(2);
            serde_json::from_str(&lines.collect::<String>()).expect("JSON")
        })
    }

    /// The status, once the search is done.
    fn verdicts(&self) -> Value {
        loop {
            let status = self.json("/.status");
            if status["done"] == true {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// It lives, and had nothing to complain about.
    fn stop(mut self) {
        assert_eq!(self.get("/").0, 200);
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

impl Drop for Explorer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_for_as_long_as_it_was_told() {
    run("explore --seconds 1 --bind 127.0.0.1:0")
        .exits(0)
        .prints(&["exploring v2.6.37", "http://127.0.0.1:", "no_deadlock"]);
}

#[test]
fn a_busy_port_is_named_with_the_way_out() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = busy.local_addr().expect("bound").to_string();
    run(&format!("explore --bind {address}"))
        .exits(2)
        .complains(&[&address, "--bind 127.0.0.1:0"]);
}

#[test]
fn only_loopback_addresses_are_bound() {
    for bind in [
        "0.0.0.0:0",
        "192.0.2.1:3000",
        "[::]:0",
        "example.com:80",
        "3000",
        "127.0.0.1:99999",
    ] {
        run(&format!("explore --seconds 1 --bind {bind}"))
            .exits(2)
            .complains(&["127.0.0.1"]);
    }
}

#[test]
fn the_page_is_served_and_nothing_but_the_page() {
    let explorer = Explorer::start(&[]);
    assert!(explorer.get("/").1.contains("Stateright Explorer"));
    for file in [
        "/app.css",
        "/app.js",
        "/knockout-3.5.0.js",
        "/.status",
        "/.states",
    ] {
        assert_eq!(explorer.get(file).0, 200, "{file}");
    }
    for path in [
        "/nope",
        "/../../etc/passwd",
        "/.states/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/.states/99",
        "/.states/0/99",
        "/.states/-1",
        "/.states/0/",
        "//",
    ] {
        assert_eq!(explorer.get(path).0, 404, "{path}");
    }
    let host = explorer.address.to_string();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        assert_eq!(explorer.request(method, "/", &host).0, 405, "{method}");
    }
    explorer.stop();
}

#[test]
fn only_a_browser_that_was_pointed_here_is_answered() {
    let explorer = Explorer::start(&[]);
    let port = explorer.address.port();
    for host in [
        "evil.example",
        "127.0.0.1",
        "",
        "127.0.0.1.evil.example",
        "192.0.2.1:80",
    ] {
        assert_eq!(explorer.request("GET", "/", host).0, 403, "{host}");
    }
    for name in ["127.0.0.1", "localhost"] {
        assert_eq!(
            explorer.request("GET", "/", &format!("{name}:{port}")).0,
            200,
            "{name}"
        );
    }
    assert!(
        explorer
            .send(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            .contains(" 403 ")
    );
    explorer.stop();
}

#[test]
fn bytes_that_are_no_request_do_no_harm() {
    let explorer = Explorer::start(&[]);
    let host = explorer.address;
    // A fixed xorshift: the same garbage every time.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut garbage = |n: usize| -> Vec<u8> {
        let next = |_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        };
        (0..n).map(next).collect()
    };
    for n in [1, 10, 1000, 100_000] {
        explorer.send(&garbage(n));
        explorer.send(&[&garbage(n)[..], b"\r\n\r\n"].concat());
    }
    for request in [
        "GET\r\n\r\n",
        "\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /",
        " / \r\n\r\n",
    ] {
        explorer.send(request.as_bytes());
    }
    for path in [
        "a".repeat(1 << 20),
        ".states".to_string() + &"/0".repeat(100_000),
    ] {
        let answer = explorer.get(&format!("/{path}"));
        assert_eq!(answer.0, 404);
    }
    // A length that would have to be allocated.
    for length in ["99999999999", "18446744073709551615", "-1", "x"] {
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        assert!(explorer.poke(head.as_bytes()) > 0, "{length}");
    }
    explorer.stop();
}

#[test]
fn the_deadlock_is_one_click_away() {
    let explorer = Explorer::start(&[]);
    let status = explorer.verdicts();
    let properties = status["properties"].as_array().expect("a list");
    let deadlock = properties
        .iter()
        .find(|p| p[1] == "no_deadlock")
        .expect("listed");
    let path = deadlock[2].as_str().expect("a path");
    // An initial state and 11 actions.
    let indices: Vec<&str> = path.split('/').collect();
    assert_eq!(indices.len(), 12);

    // The way the page goes: what is possible after each prefix has the next step.
    let mut steps = Vec::new();
    for n in 0..indices.len() {
        let prefix: String = indices[..n].iter().map(|i| format!("/{i}")).collect();
        let choices = explorer.json(&format!("/.states{prefix}"));
        let chosen = choices
            .as_array()
            .expect("a list")
            .iter()
            .find(|c| c["actionIndex"].as_u64() == indices[n].parse().ok())
            .expect("the index is one of the choices");
        steps.push(chosen.clone());
    }
    let actions: Vec<&str> = steps.iter().filter_map(|s| s["action"].as_str()).collect();
    assert_eq!(actions[0], "start: CPU0 on mm0, CPU1 on mm0");
    assert_eq!(actions[1], "CPU1 starts page_referenced_one_huge(mm0)");
    assert_eq!(actions[2], "CPU1: spin_lock(&mm->page_table_lock)");
    assert_eq!(actions[11], "CPU0: spin_lock(pgt_lock)");
    let last = steps.last().expect("eleven");
    assert!(
        last["svg"].as_str().is_some_and(|svg| svg.contains("<svg")),
        "{last}"
    );
    let state = last["state"].as_str().expect("text");
    assert!(state.contains("spins for mm0.page_table_lock"), "{state}");
    // No CPU can move: only the hardware walker can.
    for choice in explorer
        .json(&format!("/.states/{path}"))
        .as_array()
        .expect("a list")
    {
        let action = choice["action"].as_str().expect("text");
        assert!(action.contains("hardware walker"), "{action}");
    }
    explorer.stop();
}

#[test]
fn a_vacuous_property_is_not_called_safe() {
    let explorer = Explorer::start(&[]);
    let status = explorer.verdicts();
    let properties = status["properties"].as_array().expect("a list");
    // Nothing unmaps here, so nothing is shown about frames.
    let frame = properties
        .iter()
        .find(|p| p[1].to_string().contains("no_use_of_freed_frame"));
    assert_eq!(frame.expect("listed")[0], "Sometimes");
    explorer.stop();
}

#[test]
fn another_model_can_be_explored() {
    let explorer = Explorer::start(&["--design", "tracked", "--workload", "vmalloc_sync_all"]);
    let status = explorer.verdicts();
    assert!(
        status["model"]
            .as_str()
            .is_some_and(|m| m.starts_with("tracked"))
    );
    for p in status["properties"].as_array().expect("a list") {
        assert!(p[2].is_null(), "nothing is violated: {p}");
    }
    explorer.stop();
}
