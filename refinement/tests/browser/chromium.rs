//! A browser with a profile of its own, and one page in it that is used like a person would.

use super::devtools::DevTools;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up. Generous: machines that test are busy.
const PATIENCE: Duration = Duration::from_secs(240);

/// A running browser, with a fresh profile that goes with it.
pub struct Chromium {
    child: Child,
    url: String,
    _profile: TempDir,
}

fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    std::env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|file| file.is_file())
        .expect("no chromium on PATH: install Debian's `chromium`, or name one in CHROMIUM")
}

impl Chromium {
    /// Starts one without a window and waits until it can be driven.
    pub fn start() -> Chromium {
        let profile = tempfile::tempdir().expect("a place for its profile");
        let mut child = Command::new(binary())
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-default-apps",
                "--disable-sync",
                "--no-first-run",
                "--hide-scrollbars",
                "--force-device-scale-factor=1",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        // It writes the port and the path of its socket into its profile.
        let file = profile.path().join("DevToolsActivePort");
        let begun = Instant::now();
        let url = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((port, path)) = text.trim().split_once('\n') {
                break format!("ws://127.0.0.1:{port}{path}");
            }
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the browser ended: {status}");
            }
            assert!(begun.elapsed() < PATIENCE, "the browser does not come up");
            std::thread::sleep(Duration::from_millis(50));
        };
        Chromium {
            child,
            url,
            _profile: profile,
        }
    }

    /// A new tab of 1280 × 900 on an address.
    pub fn open(&self, address: &str) -> Page {
        let mut tools = DevTools::open(&self.url);
        let permissions = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
        tools.call("Browser.grantPermissions", permissions);
        let mut page = Page { tools };
        page.size(1280, 900);
        page.go(address);
        page
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Asked nicely it takes its helpers along and lets go of its profile.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tab.
pub struct Page {
    /// The connection to it.
    pub tools: DevTools,
}

impl Page {
    /// Goes to an address, whole: not only behind its `#`.
    pub fn go(&mut self, address: &str) {
        self.tools
            .call("Page.navigate", json!({ "url": "about:blank" }));
        self.tools.call("Page.navigate", json!({ "url": address }));
        self.wait("document.readyState === 'complete'");
    }

    /// The size of its window.
    pub fn size(&mut self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tools
            .call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// What the system prefers: `light` or `dark`.
    pub fn prefers(&mut self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tools.call("Emulation.setEmulatedMedia", features);
    }

    /// The value of an expression; a promise is awaited.
    pub fn eval(&mut self, expression: &str) -> Value {
        let answer = self.tools.call(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true}),
        );
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    /// The text of the first element that a selector finds; empty if there is none.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!(
            "document.querySelector({selector:?})?.textContent ?? ''"
        ));
        text.as_str().unwrap_or_default().to_string()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let begun = Instant::now();
        loop {
            if self.eval(&format!("Boolean({expression})")) == true {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let seen = self.eval("document.body.innerText.slice(0, 3000)");
                panic!(
                    "it never came true: {expression}\nat {}\ncomplaints: {:#?}\non the page:\n{}",
                    self.eval("location.href"),
                    self.tools.complaints,
                    seen.as_str().unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(60));
        }
    }

    /// Waits until an element is there and contains a text.
    pub fn wait_for(&mut self, selector: &str, text: &str) {
        self.wait(&format!(
            "[...document.querySelectorAll({selector:?})].some((e) => e.textContent.includes({text:?}))"
        ));
    }

    /// Presses keys, by their names: `ArrowLeft`, `Home`, `c`, `?`.
    pub fn press(&mut self, keys: &[&str]) {
        for key in keys {
            let mut down = json!({"type": "keyDown", "key": key});
            if key.chars().count() == 1 {
                down["text"] = (*key).into();
            } else if *key == "Enter" {
                down["text"] = "\r".into();
                down["windowsVirtualKeyCode"] = 13.into();
            } else if *key == "Tab" {
                down["windowsVirtualKeyCode"] = 9.into();
            } else if *key == "Escape" {
                down["windowsVirtualKeyCode"] = 27.into();
            }
            self.tools.call("Input.dispatchKeyEvent", down);
            self.tools.call(
                "Input.dispatchKeyEvent",
                json!({"type": "keyUp", "key": key}),
            );
        }
    }

    /// Clicks with the mouse on the middle of the first element that a selector finds, or of the
    /// first of them that contains `text`.
    pub fn click(&mut self, selector: &str, text: &str) {
        self.wait_for(selector, text);
        let spot = self.eval(&format!(
            "(() => {{
                const found = [...document.querySelectorAll({selector:?})].find((e) => e.textContent.includes({text:?}));
                found.scrollIntoView({{ block: 'center' }});
                const box = found.getBoundingClientRect();
                return [box.left + box.width / 2, box.top + box.height / 2];
            }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": spot[0], "y": spot[1], "button": "left", "clickCount": 1});
            self.tools.call("Input.dispatchMouseEvent", event);
        }
    }

    /// The window as a PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let shot = self
            .tools
            .call("Page.captureScreenshot", json!({"format": "png"}));
        let text = shot["data"].as_str().expect("an image");
        data_encoding::BASE64
            .decode(text.as_bytes())
            .expect("base64")
    }

    /// Ends the use of the page: the browser had nothing to complain about.
    pub fn close(mut self) {
        // An answer comes after every event before it.
        self.eval("1");
        assert!(
            self.tools.complaints.is_empty(),
            "the browser complains: {:#?}",
            self.tools.complaints
        );
    }
}
