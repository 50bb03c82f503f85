//! Where notifications arrive: a chat and a pager that take JSON, a dead-man switch, and a mail server, all of them ours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use serde_json::Value;

/// What arrived.
#[derive(Clone, Debug)]
pub(super) enum Notification {
    /// As a person reads it in the chat.
    Chat(Message),
    /// As a person reads it in the mail: subject and plain text.
    Mail(Message),
    /// What a pager is given.
    Pager(Value),
    /// The sign of life.
    Alive,
}

/// A text for people.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) title: String,
    pub(super) text: String,
    /// Where the title leads.
    pub(super) link: String,
    pub(super) colour: String,
}

type Arrived = Arc<Mutex<Vec<(DateTime<Utc>, Notification)>>>;

/// The receivers at work; they end with this process.
pub(super) struct Receiver {
    pub(super) http: SocketAddr,
    pub(super) smtp: SocketAddr,
    arrived: Arrived,
}

impl Receiver {
    pub(super) fn start() -> Self {
        let arrived = Arrived::default();
        let http = serve(&arrived, hear_http);
        let smtp = serve(&arrived, hear_smtp);
        Self {
            http,
            smtp,
            arrived,
        }
    }

    /// What has arrived from the given one on.
    pub(super) fn since(&self, index: usize) -> Vec<(DateTime<Utc>, Notification)> {
        self.arrived.lock().unwrap()[index..].to_vec()
    }
}

fn serve(arrived: &Arrived, hear: fn(TcpStream) -> Option<Notification>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arrived = Arc::clone(arrived);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let arrived = Arc::clone(&arrived);
            std::thread::spawn(move || {
                if let Some(notification) = hear(stream) {
                    arrived.lock().unwrap().push((Utc::now(), notification));
                }
            });
        }
    });
    address
}

/// One request, and an answer that says that it was taken.
fn hear_http(stream: TcpStream) -> Option<Notification> {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    (&stream)
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        .ok()?;
    let json: Value = serde_json::from_slice(&body).ok()?;
    match path.as_str() {
        "/chat" => {
            let part = |name: &str| json["attachments"][0][name].as_str().map(str::to_owned);
            Some(Notification::Chat(Message {
                title: part("title")?,
                text: part("text")?,
                link: part("title_link")?,
                colour: part("color")?,
            }))
        }
        "/pager" => Some(Notification::Pager(json)),
        _ => Some(Notification::Alive),
    }
}

/// One mail: enough of SMTP for a client that asks for nothing.
fn hear_smtp(stream: TcpStream) -> Option<Notification> {
    let mut lines = BufReader::new(&stream).lines();
    let say = |text: &str| (&stream).write_all(text.as_bytes()).ok();
    say("220 here\r\n")?;
    let mut mail = None;
    while let Some(Ok(command)) = lines.next() {
        match command.split([' ', ':']).next()? {
            "DATA" => {
                say("354 go on\r\n")?;
                let text: Vec<_> = lines
                    .by_ref()
                    .map_while(Result::ok)
                    .take_while(|line| line != ".")
                    .collect();
                mail = Some(text);
                say("250 taken\r\n")?;
            }
            "QUIT" => {
                say("221 bye\r\n")?;
                break;
            }
            _ => say("250 well\r\n")?,
        }
    }
    let mail = mail?;
    let title = mail
        .iter()
        .find_map(|line| line.strip_prefix("Subject: "))?;
    let text = mail
        .iter()
        .skip_while(|line| !line.starts_with("Content-Type: text/plain"))
        .skip_while(|line| !line.is_empty())
        .skip(1)
        .take_while(|line| !line.starts_with("--"));
    Some(Notification::Mail(Message {
        title: title.to_owned(),
        text: printable(text),
        link: String::new(),
        colour: String::new(),
    }))
}

/// The text of lines in quoted-printable.
fn printable<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    let mut bytes = Vec::new();
    for line in lines {
        let mut rest = line.as_bytes();
        let mut goes_on = false;
        while let Some((first, others)) = rest.split_first() {
            rest = others;
            if *first != b'=' {
                bytes.push(*first);
            } else if let [high, low, others @ ..] = others {
                let digits = [*high, *low];
                let code = u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16);
                bytes.push(code.unwrap());
                rest = others;
            } else {
                goes_on = true;
            }
        }
        if !goes_on {
            bytes.push(b'\n');
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn quoted_text_is_read_as_it_was_written() {
    let lines = ["a =3D b, c=".to_owned(), "ut =C3=A4".to_owned()];
    assert_eq!(printable(lines.iter()), "a = b, cut ä\n");
}
