#![allow(
    clippy::unwrap_used,
    reason = "a broken expectation of a test is to end it"
)]

use super::*;
use crate::web::force::Watched;
use crate::web::tests::certificates::Authority;

const HASH: &str = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze";

fn parsed(text: &str) -> Settings {
    Settings::parse(text, Path::new("/etc/web/web.yml"))
        .map_err(|failure| failure.sentence())
        .expect(text)
}

/// The sample of exporter-toolkit's documentation, with every key.
#[test]
fn the_toolkits_own_files_are_read() {
    let settings = parsed(
        r#"
tls_server_config:
  cert_file: server.crt
  key_file: /keys/server.key
  client_auth_type: "RequireAndVerifyClientCert"
  client_ca_file: "ca/clients.crt"
  client_allowed_sans: ["prometheus", "10.0.0.1"]
  min_version: "TLS12"
  max_version: "TLS13"
  cipher_suites:
    - TLS_AES_128_GCM_SHA256
    - TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
    - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  prefer_server_cipher_suites: true
  curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]
http_server_config:
  http2: true
  headers:
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
basic_auth_users:
  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze
rate_limit:
  interval: "1s"
  burst: 20
"#,
    );
    let files: Vec<_> = settings.files().collect();
    assert_eq!(
        files,
        [
            Path::new("/etc/web/server.crt"),
            Path::new("/keys/server.key"),
            Path::new("/etc/web/ca/clients.crt")
        ]
    );
    assert_eq!(settings.headers.len(), 2);
    assert_eq!(settings.users.len(), 1);
    let interval = Duration::from_secs(1);
    assert_eq!(
        settings.rate,
        Some(Rate {
            interval,
            burst: 20
        })
    );
    let tls = settings.tls.unwrap();
    assert_eq!(tls.wanted, Wanted::Verified);
    assert_eq!(tls.versions.len(), 2);
    // The three of TLS 1.3, and one.
    assert_eq!(tls.suites.len(), 4);
    assert_eq!(tls.groups.len(), 3);
    assert!(tls.own_order);
    assert_eq!(
        settings.notes,
        [
            "tls_server_config.cipher_suites: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is weak and left out",
            "tls_server_config.curve_preferences: CurveP521 is not to be had and left out",
            "http_server_config.http2: HTTP/1.1 is served, not HTTP/2",
        ]
    );
}

#[test]
fn what_says_nothing_asks_for_nothing() {
    for text in [
        "",
        "# nothing\n",
        "{}",
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n",
        "tls_server_config: { cert_file: '', key_file: }\nhttp_server_config: { headers: }",
        "rate_limit: { interval: 0, burst: 0 }",
        "rate_limit: {}",
        "http_server_config: { http2: off }",
    ] {
        let settings = parsed(text);
        assert!(settings.tls.is_none() && settings.rate.is_none(), "{text}");
        assert!(
            settings.headers.is_empty() && settings.users.is_empty(),
            "{text}"
        );
    }
    let notes = parsed("tls_server_config: { min_version: TLS13 }").notes;
    assert!(notes.concat().contains("without TLS"), "{notes:?}");
}

#[test]
fn secrets_do_not_print() {
    let text = format!(
        "tls_server_config: {{ cert: PUBLIC, key: HIDDEN }}\nbasic_auth_users: {{ alice: {HASH} }}"
    );
    let told = format!("{:?}", parsed(&text));
    assert!(told.contains("***") && told.contains("alice"), "{told}");
    assert!(!told.contains("HIDDEN") && !told.contains("mDwo"), "{told}");
    // Nor where they are refused.
    let text = "basic_auth_users: { alice: HIDDEN }";
    let refused = Settings::parse(text, Path::new("w"))
        .unwrap_err()
        .sentence();
    assert!(!refused.contains("HIDDEN"), "{refused}");
}

/// Each file with where it is wrong and a part of what is said.
#[test]
fn wrong_files_are_refused_with_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("a");
    let (one, other) = (authority.server(1), authority.server(2));
    for (name, text) in [
        ("a.crt", one.certificate.as_str()),
        ("a.key", one.key.as_str()),
        ("b.key", other.key.as_str()),
        ("empty", ""),
        (
            "bad.crt",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        ("open.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
        (
            "encrypted.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let large = std::fs::File::create(folder.path().join("large")).unwrap();
    large.set_len(2 << 20).unwrap();
    let tls = |more: &str| {
        format!("tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n  {more}\n")
    };
    let short = |more: &str| format!("tls_server_config:\n  {more}\n");
    let cases = [
        ("nonsense: 1".to_owned(), "line 1", "`nonsense`"),
        (
            "tls_server_config: 1".to_owned(),
            "line 1, tls_server_config",
            "keys with values",
        ),
        (tls("certfile: x"), "line 4", "`certfile`"),
        (tls("cert_file: y"), "line 4", "cert_file"),
        (
            tls("client_auth_type: Maybe"),
            "line 4, tls_server_config.client_auth_type",
            "\"Maybe\": unknown; use NoClientCert",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            "line 4, tls_server_config.client_auth_type",
            "no authority",
        ),
        (
            tls("client_auth_type: VerifyClientCertIfGiven"),
            "line 4, tls_server_config.client_auth_type",
            "no authority",
        ),
        (
            tls("client_ca_file: a.crt"),
            "line 4, tls_server_config.client_ca_file",
            "none are asked for",
        ),
        (
            tls("client_ca: x"),
            "line 4, tls_server_config.client_ca",
            "none are asked for",
        ),
        (
            tls("client_allowed_sans: [x]"),
            "line 4, tls_server_config.client_allowed_sans",
            "without a certificate",
        ),
        (
            tls("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []"),
            "tls_server_config.client_allowed_sans",
            "lets nobody in",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: empty"),
            "line 5, tls_server_config.client_ca_file",
            "no certificate in it",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: bad.crt"),
            "line 5, tls_server_config.client_ca_file",
            "bad.crt",
        ),
        (
            tls("min_version: TLS11"),
            "line 4, tls_server_config.min_version",
            "TLS 1.0 and 1.1 are broken and not spoken here",
        ),
        (
            tls("max_version: TLS10"),
            "line 4, tls_server_config.max_version",
            "TLS 1.0 and 1.1",
        ),
        (
            tls("min_version: '1.2'"),
            "line 4, tls_server_config.min_version",
            "not a TLS version; use TLS12",
        ),
        (
            tls("min_version: TLS13\n  max_version: TLS12"),
            "line 5, tls_server_config.max_version",
            "older than min_version",
        ),
        (
            tls("cipher_suites: [TLS_INVENTED]"),
            "line 4, tls_server_config.cipher_suites",
            "\"TLS_INVENTED\": unknown",
        ),
        (
            tls("max_version: TLS12\n  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"),
            "line 5, tls_server_config.cipher_suites",
            "none of the list",
        ),
        (
            tls("curve_preferences: [CurveP999]"),
            "line 4, tls_server_config.curve_preferences",
            "unknown",
        ),
        (
            tls("curve_preferences: [CurveP521]"),
            "line 4, tls_server_config.curve_preferences",
            "none of the list",
        ),
        (
            tls("prefer_server_cipher_suites: maybe"),
            "line 4, tls_server_config.prefer_server_cipher_suites",
            "neither true nor false",
        ),
        (
            short("key_file: a.key"),
            "tls_server_config.cert_file",
            "missing; name the server's certificate",
        ),
        (
            short("cert_file: a.crt"),
            "tls_server_config.key_file",
            "missing",
        ),
        (
            short("client_auth_type: RequestClientCert"),
            "tls_server_config.cert_file",
            "missing",
        ),
        (
            short("cert_file: none\n  key_file: a.key"),
            "line 2, tls_server_config.cert_file",
            "none: No such file",
        ),
        (
            short("cert_file: .\n  key_file: a.key"),
            "line 2, tls_server_config.cert_file",
            "not a file",
        ),
        (
            short("cert_file: empty\n  key_file: a.key"),
            "line 2, tls_server_config.cert_file",
            "no certificate in it",
        ),
        (
            short("cert_file: open.crt\n  key_file: a.key"),
            "line 2, tls_server_config.cert_file",
            "open.crt: it ends in the middle",
        ),
        (
            short("cert_file: bad.crt\n  key_file: a.key"),
            "line 2, tls_server_config.cert_file",
            "bad.crt: a certificate in it cannot be read",
        ),
        (
            short("cert_file: large\n  key_file: a.key"),
            "line 2, tls_server_config.cert_file",
            "larger than",
        ),
        (
            short("cert_file: a.crt\n  key_file: a.crt"),
            "line 3, tls_server_config.key_file",
            "no private key in it",
        ),
        (
            short("cert_file: a.crt\n  key_file: encrypted.key"),
            "line 3, tls_server_config.key_file",
            "not encrypted",
        ),
        (
            short("cert_file: a.crt\n  key_file: b.key"),
            "line 3, tls_server_config.key_file",
            "not that of the certificate",
        ),
        (
            "http_server_config: { http2: perhaps }".to_owned(),
            "line 1, http_server_config.http2",
            "neither true nor false",
        ),
        (
            "http_server_config:\n  headers:\n    X-Own: a".to_owned(),
            "line 3, http_server_config.headers.X-Own",
            "use Content-Security-Policy",
        ),
        (
            "http_server_config:\n  headers:\n    x-frame-options: deny".to_owned(),
            "line 3, http_server_config.headers.x-frame-options",
            "not a header that can",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: allow".to_owned(),
            "line 3, http_server_config.headers.X-Frame-Options",
            "use deny or sameorigin",
        ),
        (
            "http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nb\"".to_owned(),
            "line 3, http_server_config.headers.X-XSS-Protection",
            "one line",
        ),
        (
            "basic_auth_users:\n  alice: secret".to_owned(),
            "line 2, basic_auth_users.alice",
            "not a bcrypt hash of cost 4 to 18; make one with: htpasswd",
        ),
        (
            format!("basic_auth_users:\n  a:b: {HASH}"),
            "line 2, basic_auth_users.a:b",
            "nobody can log in",
        ),
        (
            format!("basic_auth_users:\n  alice: {HASH}\n  alice: {HASH}"),
            "line 3",
            "alice",
        ),
        (
            "rate_limit:\n  interval: 5\n  burst: 1".to_owned(),
            "line 2, rate_limit.interval",
            "not a duration with a unit",
        ),
        (
            "rate_limit:\n  interval: -1s\n  burst: 1".to_owned(),
            "line 2, rate_limit.interval",
            "not a duration",
        ),
        (
            "rate_limit:\n  interval: 48h\n  burst: 1".to_owned(),
            "line 2, rate_limit.interval",
            "longer than an hour",
        ),
        (
            "rate_limit:\n  interval: 1s".to_owned(),
            "rate_limit.burst",
            "missing",
        ),
        (
            "rate_limit:\n  interval: 1s\n  burst: 0".to_owned(),
            "line 3, rate_limit.burst",
            "a whole number from 1",
        ),
        (
            "rate_limit:\n  interval: 1s\n  burst: many".to_owned(),
            "line 3, rate_limit.burst",
            "\"many\"",
        ),
        ("- a".to_owned(), "line 1", "keys with values"),
        ("a: [".to_owned(), "line 1", ""),
    ];
    let path = folder.path().join("web.yml");
    for (text, place, part) in cases {
        std::fs::write(&path, &text).unwrap();
        let Err(failure) = Watched::read(&path) else {
            panic!("taken: {text}");
        };
        let sentence = failure.sentence();
        let begin = format!("read web configuration {}: ", path.display());
        assert!(sentence.starts_with(&begin), "{text}\n{sentence}");
        assert!(
            sentence.contains(place) && sentence.contains(part),
            "{text}\nwanted {place} … {part}\n{sentence}"
        );
        assert_eq!(failure.kind(), crate::error::FailureKind::Config, "{text}");
    }
    std::fs::remove_file(&path).unwrap();
    let missing = Watched::read(&path).err().unwrap().sentence();
    assert!(missing.contains("http.web_config_file"), "{missing}");
}
