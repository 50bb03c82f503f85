//! TLS and passwords of the sidecar, as curl and openssl see them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::sidecar::Sidecar;
use crate::support::{config, wait_until};

const SECOND: Duration = Duration::from_secs(1);

/// bcrypt of "right" with the lowest cost, as crypt(3) makes it.
const RIGHT: &str = "$2y$04$abcdefghijklmnopqrstuuFmEfrkTQnczNzw475xE2VhDrK1uwJiC";

impl Sidecar {
    /// The status that curl gets, 000 where there is no answer.
    fn curl(&self, place: &Place, scheme: &str, path: &str, more: &[&str]) -> String {
        let url = format!("{scheme}://{}{path}", self.address);
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--output", "/dev/null"])
            .args(["--write-out", "%{http_code}", "--cacert"])
            .arg(place.join("ca.crt"))
            .args(more)
            .arg(url)
            .output()
            .expect("curl: run .ci/install test");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The serial number of the certificate that a handshake shows.
    fn serial(&self) -> String {
        let hello = Command::new("openssl")
            .args(["s_client", "-connect", &self.address.to_string()])
            .stdin(Stdio::null())
            .output()
            .expect("openssl: run .ci/install test");
        let text = String::from_utf8_lossy(&hello.stdout).into_owned();
        let begin = text.find("-----BEGIN").unwrap_or_else(|| panic!("{text}"));
        let end = text.find("-----END CERTIFICATE-----").unwrap() + 25;
        openssl_with(&["x509", "-noout", "-serial"], &text[begin..end])
    }
}

fn openssl(place: &Place, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(place.join("."))
        .output()
        .expect("openssl: run .ci/install test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
}

fn openssl_with(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl: run .ci/install test");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An authority, `ca.crt` and `ca.key`.
fn make_authority(place: &Place) {
    openssl(
        place,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-days",
            "2",
            "-subj",
            "/CN=authority",
        ],
    );
}

/// A certificate of that authority, `NAME.crt` and `NAME.key`; the key is RSA.
fn make_certificate(place: &Place, name: &str, serial: &str) {
    let (key, request, certificate) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.crt"),
    );
    fs::write(place.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        place,
        &[
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &request,
            "-subj", "/CN=one",
        ],
    );
    openssl(
        place,
        &[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-set_serial",
            serial,
            "-days",
            "1",
            "-extfile",
            "names",
            "-out",
            &certificate,
        ],
    );
}

/// A configuration whose server nobody has to reach.
fn write_config(place: &Place, web: &str) -> std::path::PathBuf {
    fs::write(place.join("web.yml"), web).unwrap();
    let key = format!(", web_config_file: '{}'", place.join("web.yml").display());
    config::write_alone(place, &key)
}

#[test]
fn curl_needs_a_certificate_and_a_password_but_probes_need_none() {
    let place = Place::new();
    make_authority(&place);
    make_certificate(&place, "server", "0x1001");
    make_certificate(&place, "client", "0x2001");
    let config = write_config(
        &place,
        &format!(
            "tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
basic_auth_users: {{ alice: '{RIGHT}' }}
http_server_config: {{ headers: {{ X-Frame-Options: deny }} }}
"
        ),
    );
    let sidecar = Sidecar::launch(&place, &config);
    wait_until("it is ready", 30 * SECOND, || {
        sidecar.curl(&place, "https", "/-/ready", &[]) == "200"
    });
    let (certificate, key) = (place.join("client.crt"), place.join("client.key"));
    let shown = [
        "--cert",
        certificate.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    for (user, status) in [
        (None, "401"),
        (Some("alice:right"), "200"),
        (Some("alice:wrong"), "401"),
        (Some("mallory:right"), "401"),
    ] {
        let login: Vec<_> = user.iter().flat_map(|user| ["--user", *user]).collect();
        let with = [&shown[..], &login[..]].concat();
        assert_eq!(
            sidecar.curl(&place, "https", "/metrics", &with),
            status,
            "{user:?}"
        );
        assert_eq!(
            sidecar.curl(&place, "https", "/metrics", &login),
            "403",
            "{user:?}"
        );
    }
    for probe in ["/-/healthy", "/-/ready", "/livez", "/readyz"] {
        assert_eq!(sidecar.curl(&place, "https", probe, &[]), "200", "{probe}");
    }
    assert_eq!(sidecar.curl(&place, "http", "/metrics", &[]), "400");
    let old = ["--tls-max", "1.2", "--tlsv1.2"];
    assert_eq!(sidecar.curl(&place, "https", "/livez", &old), "200");
    let older = ["--tls-max", "1.1", "--tlsv1.1"];
    assert_eq!(sidecar.curl(&place, "https", "/livez", &older), "000");
    sidecar.stop();
}

#[test]
fn an_action_needs_its_token_and_no_password() {
    let place = Place::new();
    make_authority(&place);
    make_certificate(&place, "server", "0x1001");
    let token = place.join("token");
    fs::write(&token, "a-token-of-some-length").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let rules = format!(
        "tls_server_config: {{ cert_file: server.crt, key_file: server.key }}
basic_auth_users: {{ alice: '{RIGHT}' }}
"
    );
    fs::write(place.join("web.yml"), rules).unwrap();
    let http = format!(
        ", web_config_file: '{}', token_file: '{}'",
        place.join("web.yml").display(),
        token.display()
    );
    let sidecar = Sidecar::launch(&place, &config::write_alone(&place, &http));
    wait_until("it is ready", 30 * SECOND, || {
        sidecar.curl(&place, "https", "/-/ready", &[]) == "200"
    });
    let right = "Authorization: Bearer a-token-of-some-length";
    for (method, path, more, status) in [
        ("POST", "/-/reload", ["--header", right], "200"),
        (
            "POST",
            "/-/reload",
            ["--header", "Authorization: Bearer other"],
            "401",
        ),
        ("POST", "/-/reload", ["--user", "alice:right"], "401"),
        ("POST", "/-/reload", ["--header", "X: y"], "401"),
        ("GET", "/api/v1/status", ["--header", right], "401"),
        ("GET", "/api/v1/status", ["--user", "alice:right"], "200"),
    ] {
        let more = [&["--request", method][..], &more].concat();
        let got = sidecar.curl(&place, "https", path, &more);
        assert_eq!(got, status, "{method} {path} {more:?}");
    }
}

#[test]
fn openssl_sees_a_new_certificate_without_a_restart_and_never_a_broken_one() {
    let place = Place::new();
    make_authority(&place);
    make_certificate(&place, "server", "0x1001");
    make_certificate(&place, "next", "0x1002");
    let config = write_config(
        &place,
        "tls_server_config: { cert_file: server.crt, key_file: server.key }",
    );
    let sidecar = Sidecar::launch(&place, &config);
    assert_eq!(sidecar.serial(), "serial=1001");
    // Half of a rotation, for long.
    fs::copy(place.join("next.crt"), place.join("server.crt")).unwrap();
    let fault = "line 1, tls_server_config.key_file";
    wait_until("it says so", 10 * SECOND, || sidecar.said(fault) > 0);
    std::thread::sleep(3 * SECOND);
    assert_eq!(sidecar.said(fault), 1);
    assert_eq!(sidecar.serial(), "serial=1001");
    fs::copy(place.join("next.key"), place.join("server.key")).unwrap();
    wait_until("the new one is used", 10 * SECOND, || {
        sidecar.serial() == "serial=1002"
    });
}

#[test]
fn a_web_configuration_that_comes_later_is_used_without_a_restart() {
    let place = Place::new();
    make_authority(&place);
    make_certificate(&place, "server", "0x1001");
    let sidecar = Sidecar::launch(&place, &config::write_alone(&place, ""));
    assert_eq!(sidecar.curl(&place, "http", "/livez", &[]), "200");
    write_config(
        &place,
        "tls_server_config: { cert_file: none, key_file: server.key }",
    );
    sidecar.signal(Signal::HUP);
    wait_until("it is refused", 10 * SECOND, || {
        sidecar.said("tls_server_config.cert_file") > 0
    });
    assert_eq!(sidecar.curl(&place, "http", "/livez", &[]), "200");
    write_config(
        &place,
        "tls_server_config: { cert_file: server.crt, key_file: server.key }",
    );
    sidecar.signal(Signal::HUP);
    wait_until("TLS is spoken", 10 * SECOND, || {
        sidecar.curl(&place, "https", "/livez", &[]) == "200"
    });
    assert_eq!(sidecar.curl(&place, "http", "/livez", &[]), "400");
}

#[test]
fn a_wrong_file_keeps_it_from_starting_and_check_names_it() {
    let place = Place::new();
    let config = write_config(&place, "tls_server_config:\n  min_version: TLS11\n");
    let done = pgvigil(&place)
        .args(["serve", "--config"])
        .about(&config)
        .run()
        .exits(2);
    let sentence = &done.stderr;
    for part in [
        "web.yml: line 2, tls_server_config.min_version",
        "TLS11",
        "use TLS12",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
    let check = pgvigil(&place)
        .args(["check", "--config"])
        .about(&config)
        .run()
        .exits(2);
    let line = check
        .stdout
        .lines()
        .find(|line| line.contains("web configuration"));
    assert!(
        line.is_some_and(|line| line.contains("tls_server_config.min_version")),
        "{}",
        check.stdout
    );
}
