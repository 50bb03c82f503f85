#![allow(
    clippy::unwrap_used,
    reason = "a broken expectation of a test is to end it"
)]

use std::task::{Context, Waker};
use std::time::Instant;

use super::*;

/// Half a second or so, here.
const COST: u32 = 11;

fn passwords(cost: u32) -> Passwords {
    let hash = Secret(bcrypt::hash("right", cost).unwrap());
    Passwords::new(BTreeMap::from([("alice".to_owned(), hash)]))
}

fn login(user: &str, password: &str) -> HeaderValue {
    let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
    HeaderValue::from_str(&format!("Basic {text}")).unwrap()
}

async fn timed(passwords: &Passwords, user: &str, password: &str) -> (Login, Duration) {
    let start = Instant::now();
    let login = passwords.check(Some(&login(user, password))).await;
    (login, start.elapsed())
}

#[tokio::test]
async fn nobody_takes_as_long_as_somebody() {
    let passwords = passwords(COST);
    let (result, somebody) = timed(&passwords, "alice", "wrong").await;
    assert_eq!(result, Login::Wrong);
    let (result, nobody) = timed(&passwords, "mallory", "wrong").await;
    assert_eq!(result, Login::Wrong);
    // Without a comparison it would be a thousandth.
    assert!(nobody * 4 > somebody, "{nobody:?} and {somebody:?}");
}

#[tokio::test]
async fn a_right_password_is_compared_once() {
    let passwords = passwords(COST);
    let (result, first) = timed(&passwords, "alice", "right").await;
    assert_eq!(result, Login::Right);
    let (result, second) = timed(&passwords, "alice", "right").await;
    assert_eq!(result, Login::Right);
    assert!(second * 10 < first, "{second:?} and {first:?}");
    assert_eq!(timed(&passwords, "alice", "wrong").await.0, Login::Wrong);
}

#[tokio::test]
async fn one_that_is_known_does_not_wait_behind_others() {
    let passwords = passwords(4);
    assert_eq!(timed(&passwords, "alice", "right").await.0, Login::Right);
    let _turn = passwords.turn.acquire().await.unwrap();
    assert_eq!(timed(&passwords, "alice", "right").await.0, Login::Right);
    assert_eq!(timed(&passwords, "alice", "wrong").await.0, Login::Busy);
}

#[tokio::test]
async fn few_wait_and_the_others_are_told_at_once() {
    let passwords = passwords(4);
    let turn = passwords.turn.acquire().await.unwrap();
    let header = login("alice", "wrong");
    let mut waiting: Vec<_> = (0..WAITING)
        .map(|_| Box::pin(passwords.check(Some(&header))))
        .collect();
    for one in &mut waiting {
        let mut context = Context::from_waker(Waker::noop());
        assert!(one.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(timed(&passwords, "alice", "right").await.0, Login::Busy);
    drop(turn);
    for one in waiting {
        assert_eq!(one.await, Login::Wrong);
    }
    assert_eq!(timed(&passwords, "alice", "right").await.0, Login::Right);
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let passwords = passwords(4);
    for n in 0..REMEMBERED {
        passwords.remembered().insert(digest(&[&n.to_le_bytes()]));
    }
    assert_eq!(timed(&passwords, "alice", "right").await.0, Login::Right);
    assert_eq!(passwords.remembered().len(), 1);
}

#[test]
fn hashes_of_htpasswd_and_others_are_known() {
    for hash in [
        "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze",
        "$2a$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze",
        "$2b$04$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze",
    ] {
        assert!(is_hash(hash), "{hash}");
    }
    for text in [
        "",
        "secret",
        "$2y$03$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze",
        "$2y$19$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze",
        "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPz",
        "$1$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze12",
    ] {
        assert!(!is_hash(text), "{text}");
    }
    let nobody = Passwords::new(BTreeMap::new()).nobody;
    assert!(is_hash(&nobody.0));
}
