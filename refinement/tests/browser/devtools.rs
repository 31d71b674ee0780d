//! The DevTools protocol, as much of it as is needed: calls, and events that are complaints.
//!
//! Spoken directly over a web socket: the crates that wrap it compile some sixty thousand
//! generated lines into every `cargo test`.

use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::{Message, WebSocket};

/// A connection to one page.
pub struct DevTools {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    calls: u64,
    /// What the browser had to complain about so far.
    pub complaints: Vec<String>,
}

impl DevTools {
    /// Connects to the browser at `ws://127.0.0.1:port/…` and opens a page.
    pub fn open(url: &str) -> DevTools {
        let host = url
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .expect("a host");
        let stream = TcpStream::connect(host).expect("the browser listens");
        let minute = Some(Duration::from_secs(120));
        stream.set_read_timeout(minute).expect("not zero");
        let (socket, _) = tungstenite::client(url, stream).expect("it speaks web sockets");
        let mut tools = DevTools {
            socket,
            session: None,
            calls: 0,
            complaints: Vec::new(),
        };
        let target = tools.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = tools.call("Target.attachToTarget", attach);
        tools.session = session["sessionId"].as_str().map(String::from);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tools.call(&format!("{domain}.enable"), json!({}));
        }
        tools
    }

    /// Calls a method and waits for its answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut request = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        let text = request.to_string();
        self.socket.send(Message::text(text)).expect("it is there");
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                Err(error) => panic!("{method}: the browser does not answer: {error}"),
            };
            let message: Value = serde_json::from_str(&message).expect("JSON");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                let details = &params["exceptionDetails"];
                let what = &details["exception"]["description"];
                self.complaints
                    .push(format!("exception: {} {what}", details["text"]));
            }
            Some("Runtime.consoleAPICalled") => {
                let kind = params["type"].as_str().unwrap_or_default();
                if ["error", "warning", "assert"].contains(&kind) {
                    self.complaints
                        .push(format!("console.{kind}: {}", params["args"]));
                }
            }
            Some("Log.entryAdded") => {
                let entry = &params["entry"];
                if ["error", "warning"].contains(&entry["level"].as_str().unwrap_or_default()) {
                    self.complaints.push(format!(
                        "{}: {} {}",
                        entry["source"], entry["text"], entry["url"]
                    ));
                }
            }
            _ => {}
        }
    }
}
