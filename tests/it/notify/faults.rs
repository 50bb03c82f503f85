//! Alertmanagers that do not answer as they should: within the deadline, said in one sentence, and no more is read than that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use pgvigil::config::{Alertmanager, Login};
use pgvigil::notify::{DEADLINE, send};

use super::judged_at;
use super::sending::{block_on, wanted};
use crate::support::place::Place;

/// Answers every request in one way; gives its address and how many bytes of the answer went out.
fn answering(answer: Vec<u8>, hangs: bool) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let out = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&out);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 64 << 10];
            let _ = stream.read(&mut request);
            for part in answer.chunks(4096) {
                if stream.write_all(part).is_err() {
                    break;
                }
                counted.fetch_add(part.len() as u64, Ordering::Relaxed);
            }
            if hangs {
                std::thread::sleep(Duration::from_secs(3600));
            }
        }
    });
    (address, out)
}

/// What is said of one that gives this answer, and how long it took.
fn said(config: impl Fn(&str) -> Arc<Alertmanager>, url: &str) -> (String, Duration) {
    let (mut alerts, rules) = judged_at(&[Utc::now().timestamp()], &[]);
    let notices = alerts.due(Utc::now());
    let began = Instant::now();
    let (taken, result) = block_on(send(&config(url), url, &notices, &rules));
    let sentence = result.map_or_else(|failure| failure.sentence(), |()| "taken".to_owned());
    assert_eq!(taken, usize::from(sentence == "taken"));
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
    assert!(sentence.len() < 500, "{sentence}");
    (sentence, began.elapsed())
}

#[test]
fn each_is_said_in_one_sentence() {
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}");
    for (answer, wanted_words) in [
        (
            head(
                "400 Bad Request",
                "Content-Length: 12\r\n\r\nbad\nlabel\x1b[1",
            ),
            "answer 400 Bad Request: bad label [1; see its log",
        ),
        (
            head("500 Internal Server Error", "Content-Length: 0\r\n\r\n"),
            "answer 500 Internal Server Error; see its log",
        ),
        (
            head("401 Unauthorized", "Content-Length: 0\r\n\r\n"),
            "check username and password_file",
        ),
        (
            head("404 Not Found", "Content-Length: 0\r\n\r\n"),
            "check the path of the address",
        ),
        (
            head(
                "302 Found",
                "Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            ),
            "answer 302 Found; name the address that it leads to",
        ),
        (String::new(), "exchange HTTP: "),
        (
            "\x16\x03\x01 no HTTP at all\r\n\r\n".to_owned(),
            "exchange HTTP: ",
        ),
        (head("200 OK", "Content-Length: 10\r\n\r\n"), "taken"),
    ] {
        let (address, _) = answering(answer.clone().into_bytes(), false);
        let url = format!("http://{address}");
        let (sentence, took) = said(wanted, &url);
        assert!(sentence.contains(wanted_words), "{answer:?}: {sentence}");
        if wanted_words != "taken" {
            assert!(
                sentence.starts_with(&format!("send alerts to {url}: ")),
                "{sentence}"
            );
        }
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

/// The first part is refused; those behind it arrive all the same, the watchdog among them.
#[test]
fn a_part_that_is_refused_keeps_no_other_from_arriving() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let mut taken = String::new();
        for (count, stream) in listener.incoming().take(3).enumerate() {
            let mut stream = stream.unwrap();
            let body = whole_body(&mut stream);
            let status = if count == 0 {
                "400 Bad Request"
            } else {
                taken.push_str(&body);
                "200 OK"
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
        taken
    });
    let series: Vec<_> = (0..150)
        .map(|count| format!("pgvigil_verify_corrupt_backups{{server=\"s{count}\"}}"))
        .collect();
    let samples: Vec<_> = series.iter().map(|text| (text.as_str(), 1.0)).collect();
    let now = Utc::now();
    let (mut alerts, rules) = judged_at(&[now.timestamp() - 600, now.timestamp()], &samples);
    let notices = alerts.due(now);
    let url = format!("http://{address}");
    let (taken, result) = block_on(send(&wanted(&url), &url, &notices, &rules));
    assert_eq!((notices.len(), taken), (151, 151 - 64));
    let said = result.unwrap_err().sentence();
    assert!(said.contains("answer 400 Bad Request"), "{said}");
    assert!(heard.join().unwrap().contains("PgvigilWatchdog"));
}

fn whole_body(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        text.extend_from_slice(&buffer[..read]);
        let whole = String::from_utf8_lossy(&text);
        let Some((head, body)) = whole.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap();
        let length = length.lines().next().unwrap().parse::<usize>().unwrap();
        if body.len() >= length {
            return body.to_owned();
        }
    }
}

#[test]
fn one_that_hangs_is_left_after_the_deadline() {
    for answer in ["", "HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\nbut"] {
        let (address, _) = answering(answer.as_bytes().to_vec(), true);
        let (sentence, took) = said(wanted, &format!("http://{address}"));
        assert!(sentence.contains("no answer within 10 s"), "{sentence}");
        assert!(
            took >= DEADLINE && took < DEADLINE + Duration::from_secs(3),
            "{took:?}"
        );
    }
}

#[test]
fn of_an_answer_without_end_no_more_is_read_than_is_said() {
    for (status, words) in [
        ("200 OK", "taken"),
        ("503 Busy", "answer 503 Service Unavailable: xxxx"),
    ] {
        let mut answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: 30000000\r\n\r\n").into_bytes();
        answer.resize(30_000_000, b'x');
        let (address, out) = answering(answer, false);
        let (sentence, _) = said(wanted, &format!("http://{address}"));
        assert!(sentence.contains(words), "{sentence}");
        // What the sockets hold is out; the rest is not.
        let out = out.load(Ordering::Relaxed);
        assert!(out < 12_000_000, "{out} bytes");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1_000_000));
    let (address, _) = answering(endless.into_bytes(), false);
    let (sentence, _) = said(wanted, &format!("http://{address}"));
    assert!(sentence.contains("exchange HTTP: "), "{sentence}");
}

#[test]
fn secrets_are_shown_to_alertmanager_alone() {
    let place = Place::new();
    let file = place.join("secret");
    let with = |login: Login| {
        move |url: &str| {
            Arc::new(Alertmanager {
                login: login.clone(),
                ..(*wanted(url)).clone()
            })
        }
    };
    let logins = [
        (
            Login::Password("me".to_owned(), file.clone()),
            "authorization: basic bwu6ahvudgvymg==",
        ),
        (Login::Token(file.clone()), "authorization: bearer hunter2"),
    ];
    for (login, header) in logins {
        std::fs::write(&file, "hunter2\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 64 << 10];
            let read = stream.read(&mut request).unwrap();
            stream
                .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&request[..read]).to_lowercase()
        });
        let (sentence, _) = said(with(login.clone()), &format!("http://{address}/x/y"));
        let request = heard.join().unwrap();
        assert!(
            request.starts_with("post /x/y/api/v2/alerts http/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains(&format!("{header}\r\n")), "{request}");
        assert!(
            request.contains("content-type: application/json\r\n"),
            "{request}"
        );
        assert!(
            sentence.contains("403") && !sentence.contains("hunter2"),
            "{sentence}"
        );

        std::fs::write(&file, "hunter2\nand more").unwrap();
        let (sentence, _) = said(with(login.clone()), &format!("http://{address}"));
        let is_token = matches!(login, Login::Token(_));
        assert!(
            !is_token || sentence.contains("it holds what no header can"),
            "{sentence}"
        );
        assert!(!sentence.contains("hunter2"), "{sentence}");
        std::fs::remove_file(&file).unwrap();
        let (sentence, _) = said(with(login), &format!("http://{address}"));
        assert!(sentence.contains("No such file"), "{sentence}");
    }
}

#[test]
fn behind_https_only_one_that_is_trusted_is_told() {
    let place = Place::new();
    let made = |name: &str| {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let path = place.join(name);
        std::fs::write(&path, pair.cert.pem()).unwrap();
        (pair, path)
    };
    let ((own, trusted), (_, other)) = (made("own.pem"), made("other.pem"));
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let tls = Arc::new(tls);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream);
            let mut request = [0; 64 << 10];
            if stream.read(&mut request).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let url = format!("https://localhost:{port}");
    let trusting = |file: &std::path::Path| {
        let ca_file = Some(file.to_owned());
        move |url: &str| {
            let ca_file = ca_file.clone();
            Arc::new(Alertmanager {
                ca_file,
                ..(*wanted(url)).clone()
            })
        }
    };
    assert_eq!(said(trusting(&trusted), &url).0, "taken");
    let pipe = place.join("pipe.pem");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let untrusted = "speak TLS: invalid peer certificate: ";
    let elsewhere = format!("https://127.0.0.1:{port}");
    for (sentence, words) in [
        (said(trusting(&other), &url).0, untrusted),
        (said(trusting(&trusted), &elsewhere).0, untrusted),
        (
            said(trusting(&place.join("none.pem")), &url).0,
            "name a readable PEM file in ca_file",
        ),
        (said(trusting(&pipe), &url).0, "it is no regular file"),
    ] {
        assert!(sentence.contains(words), "{sentence}");
    } // The system's authorities, where it has some, know nothing of it.
    let sentence = said(wanted, &url).0;
    assert!(
        [untrusted, "install ca-certificates"]
            .iter()
            .any(|words| sentence.contains(words)),
        "{sentence}"
    );
}
