//! What happens when files change under a server at work.

use std::os::unix::fs::symlink;
use std::time::Instant;

use super::*;

/// More than two looks.
const SOON: Duration = Duration::from_secs(5);

impl Served {
    /// Waits until something holds.
    async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let end = Instant::now() + SOON;
        while !holds().await {
            assert!(Instant::now() < end, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn serial(&self, client: &Client) -> Vec<u8> {
        let stream = client.connect(self.address).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        use x509_cert::der::Decode;
        let certificate = x509_cert::Certificate::from_der(&shown[0]).unwrap();
        certificate
            .tbs_certificate
            .serial_number
            .as_bytes()
            .to_vec()
    }

    async fn until_serial(&self, client: &Client, serial: u8) {
        let what = format!("the certificate is number {serial}");
        self.until(&what, || async { self.serial(client).await == [serial] })
            .await;
    }

    async fn until_problem(&self, part: &str) -> String {
        self.until(part, || async {
            self.web.problem().is_some_and(|text| text.contains(part))
        })
        .await;
        self.web.problem().unwrap()
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart() {
    let desk = Desk::new();
    desk.write_tls("");
    let served = desk.serve().await;
    assert_eq!(served.serial(&desk.client()).await, [1]);
    desk.put("server", &desk.authority.server(2));
    served.until_serial(&desk.client(), 2).await;
    assert_eq!(served.web.problem(), None);
}

/// `..data` is a link that Kubernetes swaps; the files are links through it.
#[tokio::test]
async fn a_swapped_link_of_a_kubernetes_secret_is_seen() {
    let desk = Desk::new();
    for serial in [1, 2] {
        let folder = desk.path(&format!("..{serial}"));
        fs::create_dir(&folder).unwrap();
        desk.put(&format!("..{serial}/tls"), &desk.authority.server(serial));
    }
    symlink("..1", desk.path("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), desk.path(name)).unwrap();
    }
    let path = desk.write("tls_server_config: { cert_file: tls.crt, key_file: tls.key }");
    let served = Served::by(Web::read(&path).unwrap()).await;
    assert_eq!(served.serial(&desk.client()).await, [1]);
    symlink("..2", desk.path("..data_tmp")).unwrap();
    fs::rename(desk.path("..data_tmp"), desk.path("..data")).unwrap();
    fs::remove_dir_all(desk.path("..1")).unwrap();
    served.until_serial(&desk.client(), 2).await;
}

#[tokio::test]
async fn a_broken_new_version_leaves_the_old_one_in_force_until_it_is_mended() {
    let desk = Desk::new();
    desk.write_tls("");
    let served = desk.serve().await;
    let next = desk.authority.server(2);
    for (name, content, part) in [
        (
            "server.key",
            next.key.as_str(),
            "the key is not that of the certificate",
        ),
        ("server.key", "nonsense", "there is no private key in it"),
        ("server.crt", "", "there is no certificate in it"),
        ("web.yml", "tls_server_config: [", "line 1"),
        (
            "web.yml",
            "tls_server_config: { cert: x }",
            "tls_server_config.key_file: missing",
        ),
        ("web.yml", "", "it has no tls_server_config any more"),
    ] {
        let path = desk.path(name);
        let old = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let problem = served.until_problem(part).await;
        assert!(
            problem.ends_with("; the version before it stays in force"),
            "{problem}"
        );
        assert_eq!(served.serial(&desk.client()).await, [1]);
        fs::write(&path, old).unwrap();
        served
            .until("it is good again", || async {
                served.web.problem().is_none()
            })
            .await;
    }
    fs::remove_file(desk.path("server.crt")).unwrap();
    served.until_problem("No such file").await;
    desk.put("server", &next);
    served.until_serial(&desk.client(), 2).await;
}

#[tokio::test]
async fn users_and_limits_change_while_it_runs() {
    let desk = Desk::new();
    let hash = bcrypt::hash("x", 4).unwrap();
    let path = desk.write("{}");
    let served = Served::by(Web::read(&path).unwrap()).await;
    assert_eq!(plain(&served, get("/")).await.status, 200);
    desk.write(&format!("basic_auth_users: {{ a: '{hash}' }}"));
    served
        .until("a password is needed", || async {
            plain(&served, get("/")).await.status == 401
        })
        .await;
    desk.write("{}");
    served
        .until_problem("it has no basic_auth_users any more; restart pgvigil")
        .await;
    assert_eq!(plain(&served, get("/")).await.status, 401);
    desk.write(&format!(
        "basic_auth_users: {{ a: '{hash}' }}\nrate_limit: {{ interval: 1h, burst: 1 }}"
    ));
    served
        .until("there is a limit", || async {
            plain(&served, get("/")).await.status == 429
        })
        .await;
}

#[tokio::test]
async fn a_connection_from_before_tls_is_not_served_behind_it() {
    let desk = Desk::new();
    let path = desk.write("{}");
    let served = Served::by(Web::read(&path).unwrap()).await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 200);
    desk.write_tls("");
    served
        .until("TLS is spoken", || async {
            desk.client().connect(served.address).await.is_ok()
        })
        .await;
    let answer = sender.send_request(get("/")).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["connection"], "close");
}
