//! The way to a controller: names, ports, proxies.

use ansai_link::{Trouble, dial::Route};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::world::{Controller, hello};

#[tokio::test]
async fn a_name_that_does_not_resolve_and_a_port_that_nobody_has_are_told_apart() {
    let controller = Controller::new().await;
    let caller = controller.host();
    let route = Route::new("https://no-such-host.invalid", None).expect("an address");
    let nameless = caller.dial(&route, hello()).await.expect_err("no name");
    assert!(matches!(&nameless, Trouble::NoName { name, .. } if name == "no-such-host.invalid"), "{nameless:?}");
    assert!(nameless.suggestion().as_str().contains("DNS"));
    let unused = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = unused.local_addr().expect("bound").to_string();
    drop(unused);
    let route = Route::new(&address, None).expect("an address");
    let unreachable = caller.dial(&route, hello()).await.expect_err("nobody");
    let expected = Trouble::Unreachable { at: address, why: "nobody listens there".into() };
    assert_eq!(unreachable, expected);
}

/// A proxy that answers with these words, and goes on when they are good ones.
async fn proxy(listener: &TcpListener, answer: &str) -> String {
    let mut stream = listener.accept().await.expect("somebody comes").0;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    stream.write_all(answer.as_bytes()).await.expect("answered");
    let head = String::from_utf8(head).expect("text");
    if answer.starts_with("HTTP/1.1 200") {
        let to = head.split(' ').nth(1).expect("an address");
        let mut behind = TcpStream::connect(to).await.expect("connected");
        // It ends when either side does.
        let _ = copy_bidirectional(&mut stream, &mut behind).await;
    }
    head
}

#[tokio::test]
async fn a_proxy_connects_and_sees_tls_only() {
    let controller = Controller::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = format!("http://{}", listener.local_addr().expect("bound"));
    let route = Route::new(&controller.route().controller.to_string(), Some(&at)).expect("addresses");
    let caller = controller.host();
    let talking = async {
        let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
        taken.expect("taken in").0.close().await;
        dialed.expect("welcomed").0.close().await;
    };
    let (head, ()) = tokio::join!(proxy(&listener, "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"), talking);
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", route.controller)), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_with_its_words() {
    let controller = Controller::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound").to_string();
    let route = Route::new(&controller.route().controller.to_string(), Some(&at)).expect("addresses");
    let caller = controller.host();
    let endless = "x".repeat(5000);
    for (answer, said) in [
        ("HTTP/1.1 403 Forbidden by policy\r\n\r\n", "it answers 403 Forbidden by policy"),
        ("HTTP/1.0 407\r\n\r\n", "it answers 407"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "what answers is no HTTP proxy"),
        (endless.as_str(), "its answer has no end"),
    ] {
        let (_, dialed) = tokio::join!(proxy(&listener, answer), caller.dial(&route, hello()));
        let trouble = dialed.expect_err("refused");
        assert!(matches!(&trouble, Trouble::Proxy { why, .. } if why == said), "{trouble:?}");
    }
}
