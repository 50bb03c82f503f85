//! What connections and requests get.

use std::time::Instant;

use super::*;

/// Of "right", with bcrypt's lowest cost.
fn hash() -> String {
    bcrypt::hash("right", 4).unwrap()
}

fn with_login(path: &str, user: &str, password: &str) -> Request<Full<Bytes>> {
    use base64::Engine;
    let text = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
    let mut request = get(path);
    request
        .headers_mut()
        .insert(AUTHORIZATION, format!("Basic {text}").parse().unwrap());
    request
}

#[tokio::test]
async fn a_certificate_that_will_not_do_is_refused_for_all_but_probes() {
    let desk = Desk::new();
    let (ours, theirs) = (Authority::new("clients"), Authority::new("strangers"));
    fs::write(desk.path("clients.crt"), ours.pem()).unwrap();
    let right = ours.client(vec![dns("prometheus.example")]);
    let wrong = theirs.client(vec![dns("prometheus.example")]);
    let expired = ours.expired_client();
    let server = ours.server(9);
    let ca = "  client_ca_file: clients.crt\n";
    // Status without a certificate, with ours, one of strangers, an expired one, and what is said to the last two.
    for (kind, ca, none, good, strange, old) in [
        ("NoClientCert", "", 200, 200, 200, 200),
        ("RequestClientCert", "", 200, 200, 200, 200),
        ("RequireAnyClientCert", "", 403, 200, 200, 200),
        ("RequireClientCert", "", 403, 200, 200, 200),
        ("VerifyClientCertIfGiven", ca, 200, 200, 403, 403),
        ("RequireAndVerifyClientCert", ca, 403, 200, 403, 403),
    ] {
        desk.write_tls(&format!("  client_auth_type: {kind}\n{ca}"));
        let served = desk.serve().await;
        for (name, client, status) in [
            ("none", desk.client(), none),
            ("ours", desk.client().showing(&right), good),
            ("strange", desk.client().showing(&wrong), strange),
            ("expired", desk.client().showing(&expired), old),
        ] {
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                let client = client.speaking(version);
                let answer = client.get(&served, "/metrics").await;
                assert_eq!(answer.status, status, "{kind}, {name}: {}", answer.body);
                if status == 403 {
                    assert_eq!(answer.headers["connection"], "close");
                }
                for probe in PROBES {
                    assert_eq!(
                        client.get(&served, probe).await.status,
                        200,
                        "{kind}, {name}"
                    );
                }
            }
        }
        if kind == "RequireAndVerifyClientCert" {
            for (pair, what) in [
                (
                    &wrong,
                    "the client certificate does not come from a trusted authority\n",
                ),
                (&expired, "the client certificate has expired\n"),
            ] {
                let answer = desk.client().showing(pair).get(&served, "/").await;
                assert_eq!(answer.body, what);
            }
            let answer = desk.client().get(&served, "/").await;
            assert_eq!(answer.body, "a client certificate is needed here\n");
            // A certificate without a word on its use is one for clients too.
            assert_eq!(
                desk.client()
                    .showing(&server)
                    .get(&served, "/")
                    .await
                    .status,
                200
            );
        }
    }
}

#[tokio::test]
async fn a_key_that_is_not_that_of_the_certificate_ends_the_handshake() {
    let desk = Desk::new();
    let (one, other) = (desk.authority.client(vec![]), desk.authority.client(vec![]));
    desk.write_tls("  client_auth_type: RequireAnyClientCert\n");
    let served = desk.serve().await;
    let provider = rustls::crypto::ring::default_provider();
    let key = provider
        .key_provider
        .load_private_key(other.key_der())
        .unwrap();
    let stolen = rustls::sign::CertifiedKey::new(vec![one.der.clone()], key);
    let mut roots = RootCertStore::empty();
    roots.add(desk.authority.der()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen)));
    let connector = TlsConnector::from(Arc::new(config));
    // With TLS 1.3 the client learns of it when it reads.
    let mut stream = connect(&connector, served.address).await.unwrap();
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    assert!(stream.read_to_end(&mut answer).await.is_err());
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn names_of_certificates_are_compared_exactly() {
    let desk = Desk::new();
    fs::write(desk.path("ca.crt"), desk.authority.pem()).unwrap();
    desk.write_tls(
        "  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans:
    - prometheus.example
    - 10.0.0.7
    - 2001:DB8:0::7
    - ops@example.org
    - spiffe://cluster/prometheus
",
    );
    let served = desk.serve().await;
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    let mail = |text: &str| SanType::Rfc822Name(text.try_into().unwrap());
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    for (names, status) in [
        (vec![dns("prometheus.example")], 200),
        (vec![dns("other.example"), dns("prometheus.example")], 200),
        (vec![ip("10.0.0.7")], 200),
        (vec![ip("2001:db8::7")], 200),
        (vec![mail("ops@example.org")], 200),
        (vec![uri("spiffe://cluster/prometheus")], 200),
        (vec![], 403),
        (vec![dns("x.prometheus.example")], 403),
        (vec![dns("*.example")], 403),
        (vec![dns("Prometheus.example")], 403),
        (vec![ip("10.0.0.8")], 403),
        (
            vec![mail("dev@example.org"), uri("spiffe://cluster/other")],
            403,
        ),
    ] {
        let told = format!("{names:?}");
        let pair = desk.authority.client(names);
        let answer = desk.client().showing(&pair).get(&served, "/").await;
        assert_eq!(answer.status, status, "{told}: {}", answer.body);
    }
    assert_eq!(desk.client().get(&served, "/").await.status, 403);
    assert_eq!(desk.client().get(&served, "/livez").await.status, 200);
}

#[tokio::test]
async fn passwords_are_checked_and_probes_are_not() {
    let desk = Desk::new();
    let path = desk.write(&format!(
        "basic_auth_users: {{ alice: '{}', bob: '{}' }}",
        hash(),
        hash()
    ));
    let served = Served::by(Web::read(&path).unwrap()).await;
    for (user, password, status) in [
        ("alice", "right", 200),
        ("bob", "right", 200),
        ("alice", "wrong", 401),
        ("alice", "", 401),
        ("mallory", "right", 401),
        ("", "", 401),
        ("alice", "right", 200),
        ("Alice", "right", 401),
        ("alice", "right:", 401),
    ] {
        let answer = plain(&served, with_login("/metrics", user, password)).await;
        assert_eq!(answer.status, status, "{user}:{password}");
        if status == 401 {
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Basic"), "{challenge}");
        }
    }
    assert_eq!(plain(&served, get("/")).await.status, 401);
    assert_eq!(plain(&served, get("/livezz")).await.status, 401);
    assert_eq!(plain(&served, get("/livez/")).await.status, 401);
    for probe in PROBES {
        assert_eq!(plain(&served, get(probe)).await.status, 200);
    }
    for odd in [
        "Basic",
        "Basic !",
        "Basic YWxpY2U=",
        "Bearer alice:right",
        "basic\t",
    ] {
        let mut request = get("/");
        request
            .headers_mut()
            .insert(AUTHORIZATION, odd.parse().unwrap());
        assert_eq!(plain(&served, request).await.status, 401, "{odd}");
    }
}

#[tokio::test]
async fn a_token_stands_in_for_the_password_of_an_action_only() {
    let desk = Desk::new();
    let path = desk.write(&format!("basic_auth_users: {{ alice: '{}' }}", hash()));
    let served = Served::by(Web::read(&path).unwrap()).await;
    for (method, path, header, status) in [
        ("POST", "/", "Bearer token", 200),
        ("POST", "/", "bearer token", 200),
        ("POST", "/", "Basic token", 401),
        ("POST", "/", "Bearer", 401),
        ("GET", "/", "Bearer token", 401),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "x")
            .header(AUTHORIZATION, header)
            .body(Full::default())
            .unwrap();
        let answer = plain(&served, request).await;
        assert_eq!(answer.status, status, "{method} {path} {header}");
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_and_probes_are_not() {
    let desk = Desk::new();
    let path = desk.write("rate_limit: { interval: 1h, burst: 2 }");
    let served = Served::by(Web::read(&path).unwrap()).await;
    for status in [200, 200, 429, 429] {
        let answer = plain(&served, get("/")).await;
        assert_eq!(answer.status, status);
        if status == 429 {
            let wait: u64 = answer.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((3590..=3601).contains(&wait), "{wait}");
        }
        assert_eq!(plain(&served, get("/-/ready")).await.status, 200);
    }
}

#[tokio::test]
async fn every_answer_has_the_configured_headers() {
    let desk = Desk::new();
    let path = desk.write(&format!(
        "http_server_config:
  headers:
    X-Frame-Options: deny
    X-XSS-Protection: ''
    Strict-Transport-Security: max-age=31536000
basic_auth_users: {{ alice: '{}' }}
",
        hash()
    ));
    let served = Served::by(Web::read(&path).unwrap()).await;
    for (path, status) in [("/", 401), ("/livez", 200)] {
        let answer = plain(&served, get(path)).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["x-frame-options"], "deny");
        assert_eq!(
            answer.headers["strict-transport-security"],
            "max-age=31536000"
        );
        assert!(!answer.headers.contains_key("x-xss-protection"));
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_spoken_is_told_so() {
    let desk = Desk::new();
    desk.write_tls("");
    let served = desk.serve().await;
    for path in ["/metrics", "/livez"] {
        let answer = plain(&served, get(path)).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body, "this port speaks HTTPS only\n");
    }
}

#[tokio::test]
async fn versions_and_suites_are_those_of_the_file() {
    let desk = Desk::new();
    let only = |version| desk.client().speaking(version);
    let (old, new) = (only(&rustls::version::TLS12), only(&rustls::version::TLS13));
    for (rules, speaks_old, speaks_new) in [
        ("", true, true),
        ("  min_version: TLS13\n", false, true),
        ("  max_version: TLS12\n", true, false),
        (
            "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
            false,
            true,
        ),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]\n",
            false,
            true,
        ),
        ("  curve_preferences: [CurveP521, CurveP384]\n", true, true),
    ] {
        desk.write_tls(rules);
        let served = desk.serve().await;
        assert_eq!(
            old.connect(served.address).await.is_ok(),
            speaks_old,
            "{rules}"
        );
        assert_eq!(
            new.connect(served.address).await.is_ok(),
            speaks_new,
            "{rules}"
        );
    }
    desk.write_tls("  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n");
    let served = desk.serve().await;
    let stream = old.connect(served.address).await.unwrap();
    assert_eq!(
        stream
            .get_ref()
            .1
            .negotiated_cipher_suite()
            .unwrap()
            .suite(),
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    );
}

#[tokio::test]
async fn a_slow_handshake_holds_nobody_up_and_is_ended() {
    let desk = Desk::new();
    desk.write_tls("");
    let served = desk.serve().await;
    let start = Instant::now();
    let mut silent = Vec::new();
    for begin in [&b""[..], b"\x16\x03\x01\x02\x00"]
        .into_iter()
        .cycle()
        .take(20)
    {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        silent.push(stream);
    }
    assert_eq!(desk.client().get(&served, "/").await.status, 200);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    for mut stream in silent {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    let ended = start.elapsed();
    assert!(
        ended >= HANDSHAKE_TIMEOUT - Duration::from_millis(100),
        "{ended:?}"
    );
    assert!(ended < HANDSHAKE_TIMEOUT * 2, "{ended:?}");
}

#[tokio::test]
async fn inline_certificates_will_do() {
    let desk = Desk::new();
    let pair = desk.authority.server(7);
    let indented = |text: &str| text.trim_end().replace('\n', "\n    ");
    desk.write(&format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
        indented(&pair.certificate),
        indented(&pair.key)
    ));
    let served = desk.serve().await;
    assert_eq!(desk.client().get(&served, "/").await.status, 200);
}

#[tokio::test]
async fn without_a_file_all_is_open() {
    let served = Served::by(Web::open()).await;
    assert_eq!(plain(&served, get("/")).await.status, 200);
    assert_eq!(served.web.problem(), None);
}

/// A session that is resumed shows no certificate again; the first handshake's still counts.
#[tokio::test]
async fn a_resumed_session_keeps_its_certificate() {
    let desk = Desk::new();
    let ours = Authority::new("clients");
    fs::write(desk.path("clients.crt"), ours.pem()).unwrap();
    desk.write_tls(
        "  client_ca_file: clients.crt\n  client_auth_type: RequireAndVerifyClientCert\n",
    );
    let served = desk.serve().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = desk.client().showing(&ours.client(vec![]));
        let connector = client.speaking(version).connector();
        for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
            let stream = connect(&connector, served.address).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
            assert_eq!(ask(stream, get("/")).await.status, 200, "{kind:?}");
        }
    }
}
