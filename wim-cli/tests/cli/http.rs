//! WIM files and discs by URL, from a server that the test itself runs.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::disc_writer::Udf;
use crate::media::media_files;
use crate::{command, noise, sample_tree, wim};

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Good,
    /// Whole files only.
    NoRanges,
    /// Every answer but the first breaks off.
    Truncates,
    /// Two of three answers break off or are errors of the server.
    Flaky,
    /// Another entity tag from the third request on.
    Changes,
    /// Another range than was asked for.
    WrongRange,
    /// No entity tag, and another time from the third request on.
    ChangesTime,
    /// Every answer but the first does not come.
    Silent,
    /// Every answer but the first comes byte by byte.
    Drips,
    /// Each answer takes a while.
    Slow,
    /// Sends the client elsewhere.
    Redirects,
    /// Sends the client in a circle.
    Circle,
}

struct Server {
    port: u16,
    requests: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

type Files = Arc<Mutex<HashMap<String, Arc<Vec<u8>>>>>;

impl Server {
    fn start(files: &[(&str, Vec<u8>)], manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let list = files.iter().map(|(name, bytes)| (format!("/{name}"), Arc::new(bytes.clone())));
        let files: Files = Arc::new(Mutex::new(list.collect()));
        let (requests, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, sent) = (requests.clone(), bytes.clone());
        // The threads end with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, counted, sent) = (files.clone(), counted.clone(), sent.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while answer(&mut reader, &stream, &files, manner, (&counted, &sent)).is_some() {}
                });
            }
        });
        Self { port, requests, bytes }
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

/// Answers one request; none when the connection is to be closed.
fn answer(
    reader: &mut BufReader<TcpStream>,
    mut stream: &TcpStream,
    files: &Files,
    manner: Manner,
    (counted, sent): (&AtomicU64, &AtomicU64),
) -> Option<()> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&length| length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut range = None;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|&length| length > 0)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
            let (start, end) = value.trim().split_once('-').unwrap();
            range = Some((start.parse::<usize>().unwrap(), end.parse::<usize>().unwrap()));
        }
    }
    let number = counted.fetch_add(1, Ordering::SeqCst);
    let mut say = |text: String, body: &[u8]| {
        sent.fetch_add(body.len() as u64, Ordering::SeqCst);
        stream.write_all(text.as_bytes()).ok()?;
        stream.write_all(body).ok()
    };
    if manner == Manner::Circle || manner == Manner::Redirects && !path.starts_with("/real/") {
        let to = if manner == Manner::Circle { path } else { format!("/real{path}") };
        return say(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"), b"");
    }
    let Some(file) = files.lock().unwrap().get(path.trim_start_matches("/real")).cloned() else {
        return say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), b"");
    };
    if manner == Manner::Flaky && number % 3 == 1 {
        return say("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned(), b"");
    }
    let (start, end) = match range {
        Some((start, end)) if manner != Manner::NoRanges => (start, end.min(file.len() - 1)),
        _ => {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len());
            return say(text, &file[..1000.min(file.len())]).and(None);
        }
    };
    let is_new = number >= 2;
    let tag = match manner {
        Manner::ChangesTime => {
            format!("Last-Modified: Tue, 0{} Jan 2030 00:00:00 GMT", 1 + 7 * u8::from(is_new))
        }
        Manner::Changes if is_new => "ETag: \"new\"".to_owned(),
        _ => "ETag: \"old\"".to_owned(),
    };
    if manner == Manner::Slow {
        std::thread::sleep(Duration::from_millis(300));
    }
    if manner == Manner::Silent && number > 0 {
        std::thread::sleep(Duration::from_secs(60));
        return None;
    }
    let said = if manner == Manner::WrongRange && number > 0 { start + 1 } else { start };
    let text = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {said}-{end}/{}\r\n{tag}\r\nContent-Length: {}\r\n\r\n",
        file.len(),
        end + 1 - start
    );
    let body = &file[start..=end];
    if manner == Manner::Drips && number > 0 {
        say(text, b"")?;
        for byte in body {
            say(String::new(), &[*byte])?;
            std::thread::sleep(Duration::from_millis(100));
        }
        return Some(());
    }
    if manner == Manner::Truncates && number > 0 || manner == Manner::Flaky && number % 3 == 2 {
        return say(text, &body[..body.len() / 2]).and(None);
    }
    say(text, body)
}

/// A folder with `plain.wim`, and a disc of 12 MB that holds it among much else.
fn discs() -> (tempfile::TempDir, Vec<u8>) {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "plain.wim", "Professional"]).ends_with(0);
    let mut list = media_files(&[("install.wim", fs::read(at.join("plain.wim")).unwrap())]);
    list.push(("large.bin".to_owned(), noise(12_000_000)));
    let disc = Udf::PLAIN.disc(&list);
    (folder, disc)
}

#[test]
fn only_the_ranges_that_are_needed_are_read() {
    let (folder, disc) = discs();
    let at = folder.path();
    let plain = fs::read(at.join("plain.wim")).unwrap();
    let server = Server::start(&[("d/x.iso", disc.clone()), ("plain.wim", plain.clone())], Manner::Good);
    let json = wim(at, &["info", &server.url("d/x.iso"), "--json"]).ends_with(0).json();
    assert_eq!(json["images"][0]["name"], "Professional");
    assert_eq!(json["path"], format!("{}:/sources/install.wim", server.url("d/x.iso")));
    let read = server.bytes.load(Ordering::SeqCst);
    assert!(read < 2_000_000, "{read} of {} bytes, in {:?} requests", disc.len(), server.requests);
    // All of the WIM once: little more than it has.
    server.bytes.store(0, Ordering::SeqCst);
    wim(at, &["verify", &server.url("plain.wim")]).ends_with(0);
    let read = server.bytes.load(Ordering::SeqCst);
    assert!(read <= plain.len() as u64 + 100, "{read} of {} bytes", plain.len());
    // What is read is what is there.
    let inner = format!("{}:/sources/install.wim", server.url("d/x.iso"));
    wim(at, &["export", &inner, "1", "remote.wim"]).ends_with(0);
    wim(at, &["export", "plain.wim", "1", "local.wim"]).ends_with(0);
    assert_eq!(fs::read(at.join("remote.wim")).unwrap(), fs::read(at.join("local.wim")).unwrap());
    assert_eq!(wim(at, &["media", "cat", &server.url("d/x.iso"), "setup.exe"]).ends_with(0).stdout, b"MZ");
    let ran = wim(at, &["delete", &server.url("plain.wim"), "1"]).ends_with(2);
    assert!(ran.stderr.contains("cannot be changed"), "{}", ran.stderr);
}

#[test]
fn servers_that_misbehave_are_refused_by_name() {
    let (folder, disc) = discs();
    let at = folder.path();
    for (manner, wanted) in [
        (Manner::NoRanges, "whole files only"),
        (Manner::Truncates, "failed 4 times"),
        (Manner::Changes, "has changed since it was opened"),
        (Manner::ChangesTime, "has changed since it was opened"),
        (Manner::WrongRange, "another range than was asked for"),
        (Manner::Circle, "redirect"),
    ] {
        let server = Server::start(&[("x.iso", disc.clone())], manner);
        let url = server.url("x.iso");
        let ran = wim(at, &["info", &url]).ends_with(2);
        assert!(ran.stderr.contains(wanted), "{manner:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("{url}, bytes ")), "{manner:?}: {}", ran.stderr);
        assert!(server.requests.load(Ordering::SeqCst) < 40, "{manner:?}");
    }
    let server = Server::start(&[], Manner::Good);
    let ran = wim(at, &["info", &server.url("x.iso")]).ends_with(2);
    assert!(ran.stderr.contains("does not have it"), "{}", ran.stderr);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = wim(at, &["info", &format!("http://{nobody}/x.iso")]).ends_with(2);
    assert!(ran.stderr.contains("failed 4 times"), "{}", ran.stderr);
}

#[test]
fn what_fails_for_a_moment_is_tried_again_and_redirects_are_followed() {
    let (folder, disc) = discs();
    let at = folder.path();
    for manner in [Manner::Flaky, Manner::Redirects, Manner::Slow] {
        let server = Server::start(&[("x.iso", disc.clone())], manner);
        wim(at, &["verify", &server.url("x.iso")]).ends_with(0);
    }
}

#[cfg(unix)]
#[test]
fn nobody_waits_for_an_answer_that_is_not_wanted_any_more() {
    let (folder, disc) = discs();
    let at = folder.path();
    for manner in [Manner::Silent, Manner::Drips] {
        let server = Server::start(&[("x.iso", disc.clone())], manner);
        let line = ["export", &server.url("x.iso"), "1", "new.wim"];
        let mut child = command(env!("CARGO_BIN_EXE_wim"), at, &line).stderr(Stdio::null()).spawn().unwrap();
        while server.requests.load(Ordering::SeqCst) < 2 {
            assert_eq!(child.try_wait().unwrap(), None, "{manner:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
        let since = Instant::now();
        assert!(command("kill", at, &["-INT", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{manner:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{manner:?}: {:?}", since.elapsed());
        assert!(!at.join("new.wim").exists());
    }
}

/// A process that is ended with the test.
struct Front(Child);

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes TLS connections with the certificate `cert.pem` and hands them on to a port; none, with a word, where Python or
/// OpenSSL are missing. Gives its own port.
fn tls_front(at: &std::path::Path, to: u16) -> Option<(Front, u16)> {
    const RELAY: &str = "
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
def pump(a, b):
    try:
        while data := a.recv(65536): b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError: pass
def serve(raw):
    try:
        tls = context.wrap_socket(raw, server_side=True)
    except OSError: return
    plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    threading.Thread(target=pump, args=(tls, plain), daemon=True).start()
    pump(plain, tls)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
";
    // A certificate of a server, which OpenSSL's own configuration would make one of an authority.
    let config = "[req]\ndistinguished_name=dn\nx509_extensions=of\nprompt=no\n[dn]\nCN=localhost\n[of]\n\
                  basicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n";
    fs::write(at.join("cert.cnf"), config).unwrap();
    let make =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let more = ["-config", "cert.cnf", "-keyout", "key.pem", "-out", "cert.pem"];
    let made = command("openssl", at, &[&make[..], &more].concat()).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: openssl cannot make a certificate");
        return None;
    }
    let mut python = Command::new("python3");
    python.args(["-c", RELAY, &to.to_string()]).current_dir(at).stdout(Stdio::piped());
    let Ok(mut child) = python.spawn() else {
        println!("skipped: python3 is not installed");
        return None;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some((Front(child), line.trim().parse().unwrap()))
}

#[test]
fn a_server_is_read_through_tls_when_its_certificate_is_trusted() {
    let (folder, disc) = discs();
    let at = folder.path();
    let server = Server::start(&[("x.iso", disc)], Manner::Good);
    let Some((_front, port)) = tls_front(at, server.port) else { return };
    let url = format!("https://localhost:{port}/x.iso");
    let run = |roots: Option<&str>| {
        let mut info = command(env!("CARGO_BIN_EXE_wim"), at, &["info", &url, "--json"]);
        info.env_remove("SSL_CERT_FILE");
        if let Some(roots) = roots {
            info.env("SSL_CERT_FILE", roots);
        }
        let output = info.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, stderr) = run(None);
    assert!(code == Some(2) && stderr.contains("not trusted"), "{code:?} {stderr}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 0, "nothing was asked for");
    let (code, stdout, stderr) = run(Some("cert.pem"));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("Professional"), "{stdout}");
    for (roots, word) in [("key.pem", "SSL_CERT_FILE"), ("missing.pem", "missing.pem")] {
        let (code, _, stderr) = run(Some(roots));
        assert!(code == Some(2) && stderr.contains(word), "{roots}: {code:?} {stderr}");
    }
    // A certificate of another name is none.
    let other = url.replace("localhost", "127.0.0.2");
    let mut info = command(env!("CARGO_BIN_EXE_wim"), at, &["info", &other]);
    assert_eq!(info.env("SSL_CERT_FILE", "cert.pem").output().unwrap().status.code(), Some(2));
}
