//! A `shootdown explore` to look at.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The seed's deadlock: 11 steps, one context switch.
pub const DEADLOCK: &str = "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;\
                            1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*5;";

/// A running server, stopped with it.
pub struct Server {
    child: Child,
    /// `127.0.0.1:port`.
    pub address: String,
}

impl Server {
    /// On a free port.
    pub fn start() -> Server {
        Server::at("127.0.0.1:0")
    }

    /// On a given one.
    pub fn at(bind: &str) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shootdown"))
            .args(["explore", "--bind", bind, "--seconds", "1800"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let address = out
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, address) = line.split_once("http://")?;
                Some(address.trim().trim_end_matches('/').to_string())
            })
            .expect("it prints its URL");
        Server { child, address }
    }

    /// An address of a view of the page.
    pub fn view(&self, view: &str, params: &[(&str, &str)]) -> String {
        let params: Vec<String> = params
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        format!("http://{}/#/{view}?{}", self.address, params.join("&"))
    }

    /// The address of a run at a step.
    pub fn run(&self, schedule: &str, at: &str) -> String {
        self.view(
            "run",
            &[("subject", "spec"), ("schedule", schedule), ("at", at)],
        )
    }
}

/// Percent-encoded, whatever is not a letter or a digit.
pub fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
