//! Chromium, steered through chromedriver by the WebDriver protocol: plain JSON over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::place::{Place, executable, leashed};

/// Nothing but the page: no account, no update, no search for networks.
const ARGUMENTS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// How a visitor sees a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Light,
    Dark,
    Phone,
}

/// A browser with one tab.
pub(super) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _place: Place,
}

impl Look {
    pub(super) const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Phone];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
        }
    }

    /// Width and height in CSS pixels.
    const fn size(self) -> (u32, u32) {
        match self {
            Self::Light | Self::Dark => (1_200, 900),
            Self::Phone => (390, 844),
        }
    }
}

impl Browser {
    /// A new one; pages run their scripts only with `scripts`.
    pub(super) fn start(scripts: bool) -> Self {
        let place = Place::new();
        let mut driver = leashed(&executable());
        driver.args(["--", "chromedriver", "--port=0"]);
        let mut driver = driver
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .env("HOME", place.join(""))
            .env("TMPDIR", place.tmp())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ")
                    .nth(1)?
                    .trim_end_matches('.')
                    .parse::<u16>()
                    .ok()
            })
            .expect("chromedriver says its port: run .ci/install test");
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self {
            driver,
            address: ([127, 0, 0, 1], port).into(),
            session: String::new(),
            _place: place,
        };
        let preferences = match scripts {
            true => json!({}),
            false => json!({ "profile.managed_default_content_settings.javascript": 2 }),
        };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": ARGUMENTS, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.post("/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    pub(super) fn look(&self, look: Look) {
        let (width, height) = look.size();
        let is_phone = look == Look::Phone;
        self.chromium(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone }),
        );
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.chromium(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    pub(super) fn open(&self, url: &str) {
        self.command("/url", &json!({ "url": url }));
    }

    /// Types into the element and sends its form.
    pub(super) fn submit(&self, selector: &str, text: &str) {
        let found = self.command(
            "/element",
            &json!({ "using": "css selector", "value": selector }),
        );
        let id = found
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        self.command(
            &format!("/element/{id}/value"),
            &json!({ "text": format!("{text}\n") }),
        );
    }

    /// Presses a key where the focus is.
    pub(super) fn press(&self, key: char) {
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": [
            { "type": "keyDown", "value": key }, { "type": "keyUp", "value": key },
        ] }] });
        self.command("/actions", &body);
    }

    /// What a function body returns, run beside the page.
    pub(super) fn evaluate(&self, body: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// What a function body hands to its callback, its last argument.
    pub(super) fn evaluate_later(&self, body: &str) -> Value {
        self.command("/execute/async", &json!({ "script": body, "args": [] }))
    }

    /// Errors and warnings that the browser noted of the page since the last time.
    pub(super) fn complaints(&self) -> Vec<String> {
        let log = self.command("/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().unwrap().iter();
        lines.map(|line| line["message"].to_string()).collect()
    }

    /// The page as a PNG; all of it, to a limit in CSS pixels.
    pub(super) fn picture(&self, look: Look, tallest: u64) -> Vec<u8> {
        let all = self
            .evaluate("return Math.ceil(document.documentElement.getBoundingClientRect().height)");
        let (width, height) = look.size();
        let height = all.as_u64().unwrap().clamp(u64::from(height) / 2, tallest);
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let picture = self.chromium(
            "Page.captureScreenshot",
            json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
        );
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// A command of Chromium's own protocol.
    pub(super) fn chromium(&self, command: &str, parameters: Value) -> Value {
        self.command(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        )
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.post(&format!("/session/{}{path}", self.session), body)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.ask("POST", path, &body.to_string());
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        let value: Value = serde_json::from_str(body).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {value}");
        value["value"].clone()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            self.address
        )
        .unwrap();
        // It keeps the connection whatever one says, so the length counts.
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(
                reader.read_line(&mut head).unwrap() > 0,
                "chromedriver hung up: {head}"
            );
        }
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .unwrap_or_else(|| panic!("no length: {head}"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            let path = format!("/session/{}", self.session);
            let _ = self.ask("DELETE", &path, "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
