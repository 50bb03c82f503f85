//! What happened, for people: printed (`--nocapture` shows it) and kept in `end-to-end/` of the build directory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::form::Form;
use super::receiver::Notification;

pub(super) struct Transcript {
    file: fs::File,
    path: PathBuf,
    begun: DateTime<Utc>,
    alive: bool,
}

impl Transcript {
    pub(super) fn begin(form: Form) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("end-to-end");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{}.txt", form.name()));
        Self {
            file: fs::File::create(&path).unwrap(),
            path,
            begun: Utc::now(),
            alive: false,
        }
    }

    /// What the test did or found.
    pub(super) fn note(&mut self, text: &str) {
        self.write(Utc::now(), &format!("-- {text}"));
    }

    /// What arrived; the sign of life once.
    pub(super) fn arrived(&mut self, at: DateTime<Utc>, notification: &Notification) {
        let (to, message) = match notification {
            Notification::Chat(message) => ("chat", message),
            Notification::Mail(message) => ("mail", message),
            Notification::Pager(json) => {
                let status = json["status"].as_str().unwrap();
                return self.write(at, &format!("pager: {status}, {}", json["groupKey"]));
            }
            Notification::Alive => {
                if !self.alive {
                    self.alive = true;
                    self.write(at, "dead-man switch: alive (and so on)");
                }
                return;
            }
        };
        let mut text = format!("{to}: {}", message.title);
        for line in message.text.trim().lines() {
            text += &format!("\n          | {line}");
        }
        self.write(at, &text);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, at: DateTime<Utc>, text: &str) {
        let since = (at - self.begun).num_seconds().max(0);
        let line = format!("{:4}:{:02} {text}\n", since / 60, since % 60);
        eprint!("{line}");
        self.file.write_all(line.as_bytes()).unwrap();
    }
}
