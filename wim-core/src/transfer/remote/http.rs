//! Byte ranges of a file over HTTP and HTTPS.
//!
//! The first request tells size, entity tag and time of the file; every answer after it must agree with them, so that a file that is
//! replaced meanwhile is refused and never mixed. What fails for a moment (a broken connection, an overloaded server) is tried
//! again; certificates are checked against the roots that the client library brings along, or those in the file that
//! `SSL_CERT_FILE` names. A job that is cancelled does not wait for an answer.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::block_cache::{BlockCache, Fetch};
use crate::base::{Cancel, Error, ErrorKind, ReadAt, Result};

/// How often a request is made until it succeeds.
const TRIES: u32 = 4;
/// The time before the second try; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Time for a connection, and for an answer to begin.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time for the bytes of one answer, of which there are at most 4 MiB.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_REDIRECTS: u32 = 8;
/// How often a job that waits for an answer looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(50);
/// Names a file of certificates in PEM that are trusted in the place of the library's own, as for other programs.
const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";

/// A file on a server.
pub struct RemoteFile {
    cache: BlockCache<Client>,
}

/// What the file was when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    size: u64,
    entity_tag: Option<String>,
    modified: Option<String>,
}

struct Client {
    asker: Asker,
    identity: Identity,
}

/// What requests need; a copy of it goes with each.
#[derive(Clone)]
struct Asker {
    agent: Agent,
    url: String,
    cancel: Arc<Cancel>,
}

/// Why an answer was none.
enum Failure {
    /// It may succeed when it is tried again.
    Passing(String),
    Lasting(Error),
}

impl RemoteFile {
    /// Asks for the first byte of the file at `url`, which tells its size and whether the server knows ranges.
    ///
    /// # Errors
    /// `NotFound` when the server does not have it, `Unsupported` when it sends whole files only, `InvalidInput` when it wants to
    /// know who asks, `Cancelled`, `Io` for anything else that fails.
    pub fn open(url: &str, cancel: &Cancel) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_recv_body(Some(BODY_TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(trusted_roots()?).build())
            .user_agent(concat!("wim/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = Agent::new_with_config(config);
        let asker = Asker { agent, url: url.to_owned(), cancel: cancel.follower() };
        let identity = asker.with_retries((0, 1), Asker::first_answer)?;
        let size = identity.size;
        Ok(Self { cache: BlockCache::new(Client { asker, identity }, size) })
    }
}

impl ReadAt for RemoteFile {
    fn size(&self) -> u64 {
        self.cache.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.cache.read(buf, offset)
    }
}

impl Fetch for Client {
    fn fetch(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let identity = self.identity.clone();
        let answer =
            self.asker.with_retries((offset, length), move |asker| asker.range((offset, length), &identity));
        answer.map_err(|error| io::Error::other(error.to_string()))
    }
}

impl Asker {
    fn range(&self, (offset, length): (u64, u64), wanted: &Identity) -> Result<Vec<u8>, Failure> {
        let mut answer = request(&self.agent, &self.url, (offset, length))?;
        let (start, identity) = identity(&answer)?;
        if identity != *wanted {
            return Err(Failure::Lasting(
                Error::new(ErrorKind::Io, "the file on the server has changed since it was opened")
                    .remedy("start again; if it keeps changing, download it first"),
            ));
        }
        if start != offset {
            return Err(Failure::Lasting(wrong_range(&format!("it begins at {start}"))));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let read = answer.body_mut().as_reader().take(length + 1).read_to_end(&mut bytes);
        match read {
            Ok(_) if bytes.len() as u64 == length => Ok(bytes),
            Ok(_) => {
                Err(Failure::Passing(format!("the answer has {} bytes instead of {length}", bytes.len())))
            }
            Err(error) => Err(Failure::Passing(format!("the answer breaks off: {error}"))),
        }
    }

    fn first_answer(&self) -> Result<Identity, Failure> {
        let answer = request(&self.agent, &self.url, (0, 1))?;
        let (start, identity) = identity(&answer)?;
        if start != 0 {
            return Err(Failure::Lasting(wrong_range(&format!("it begins at {start}"))));
        }
        Ok(identity)
    }

    /// Tries until it succeeds, fails for good, has failed [`TRIES`] times or is not wanted any more; errors name the URL and
    /// the range. A try runs on a thread of its own, which is left behind when its answer is not waited for.
    fn with_retries<T: Send + 'static>(
        &self,
        (offset, length): (u64, u64),
        attempt: impl Fn(&Self) -> Result<T, Failure> + Clone + Send + 'static,
    ) -> Result<T> {
        let place = format!("{}, bytes {offset} to {}", self.url, offset + length - 1);
        let (mut pause, mut number) = (FIRST_PAUSE, 1);
        loop {
            let (asker, attempt) = (self.clone(), attempt.clone());
            match self.wait_for(move || attempt(&asker))? {
                Ok(value) => return Ok(value),
                Err(Failure::Lasting(error)) => return Err(error.in_file(place)),
                Err(Failure::Passing(message)) if number == TRIES => {
                    return Err(Error::new(
                        ErrorKind::Io,
                        format!("failed {TRIES} times; at last: {message}"),
                    )
                    .in_file(place)
                    .remedy("try again later, or download the file and name it instead"));
                }
                Err(Failure::Passing(_)) => {
                    self.wait_for(move || thread::sleep(pause))?;
                    pause *= 2;
                    number += 1;
                }
            }
        }
    }

    /// What `work` comes to, which runs on a thread of its own.
    ///
    /// # Errors
    /// `Cancelled`, at once and whatever the work still waits for; `Io` when there can be no thread.
    fn wait_for<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, answers) = mpsc::channel();
        thread::Builder::new()
            // Nobody waits for the answer when the job was cancelled.
            .spawn(move || drop(sender.send(work())))
            .map_err(|e| Error::new(ErrorKind::Io, format!("cannot start a thread: {e}")).with_source(e))?;
        loop {
            match answers.recv_timeout(TICK) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => self.cancel.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(
                        ErrorKind::Io,
                        "the client of the server ended without an answer",
                    ));
                }
            }
        }
    }
}

/// The certificates that those of servers are checked against.
///
/// # Errors
/// `Io` when the file that is named cannot be read, `InvalidInput` when it has none.
fn trusted_roots() -> Result<RootCerts> {
    let Some(path) = std::env::var_os(ROOTS_VARIABLE).filter(|path| !path.is_empty()) else {
        return Ok(RootCerts::WebPki);
    };
    let path = Path::new(&path);
    let text = std::fs::read(path).map_err(|e| Error::io(e, "cannot read the certificates in", path))?;
    let certificates: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(Error::invalid_input(format!(
            "{ROOTS_VARIABLE} names it, but it has no certificate in PEM"
        ))
        .in_file(path.display())
        .remedy(format!("correct or remove {ROOTS_VARIABLE} in the environment")));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// Asks for a range; any answer but that range is a failure.
fn request(agent: &Agent, url: &str, (offset, length): (u64, u64)) -> Result<Response<ureq::Body>, Failure> {
    let range = format!("bytes={offset}-{}", offset + length - 1);
    let answer = agent.get(url).header("Range", &range).header("Accept-Encoding", "identity").call();
    let answer = answer.map_err(|error| match error {
        // What TLS refuses, a certificate above all.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Failure::Lasting(
            Error::new(ErrorKind::Io, format!("the server is not trusted: {error}")).remedy(format!(
                "compare the address, or name the certificates to trust in the environment: {ROOTS_VARIABLE}=FILE.pem"
            )),
        ),
        ureq::Error::Timeout(_) | ureq::Error::Io(_) | ureq::Error::ConnectionFailed => {
            Failure::Passing(error.to_string())
        }
        other => Failure::Lasting(
            Error::new(ErrorKind::Io, format!("the server cannot be asked: {other}"))
                .remedy("compare the address, or download the file and name it instead"),
        ),
    })?;
    let lasting =
        |kind, message: &str, remedy: &str| Err(Failure::Lasting(Error::new(kind, message).remedy(remedy)));
    match answer.status().as_u16() {
        206 => Ok(answer),
        200 => lasting(
            ErrorKind::Unsupported,
            "the server sends whole files only, no byte ranges",
            "download the file and name it instead",
        ),
        404 | 410 => lasting(ErrorKind::NotFound, "the server does not have it", "compare the address"),
        401 | 403 => lasting(
            ErrorKind::InvalidInput,
            "the server refuses to send it without knowing who asks",
            "download the file with a browser and name it instead",
        ),
        416 => lasting(
            ErrorKind::Unsupported,
            "the server has no such range: the file is empty or has changed",
            "start again",
        ),
        status @ (408 | 429 | 500..=599) => Err(Failure::Passing(format!("the server answers {status}"))),
        status => lasting(
            ErrorKind::Io,
            &format!("the server answers {status}"),
            "compare the address, or download the file and name it instead",
        ),
    }
}

/// Where a range begins, and what its answer says of the file.
fn identity(answer: &Response<ureq::Body>) -> Result<(u64, Identity), Failure> {
    let headers = answer.headers();
    let range = header(headers, "content-range")
        .ok_or_else(|| Failure::Lasting(wrong_range("it does not say which (Content-Range)")))?;
    let (start, size) = parse_content_range(&range)
        .ok_or_else(|| Failure::Lasting(wrong_range(&format!("Content-Range is {range:?}"))))?;
    if header(headers, "content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Failure::Lasting(wrong_range("it is compressed")));
    }
    // A weak tag does not promise the same bytes, but another one tells that they may be others.
    let entity_tag = header(headers, "etag");
    Ok((start, Identity { size, entity_tag, modified: header(headers, "last-modified") }))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Start and total of `bytes 0-99/1234`.
fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end, size): (u64, u64, u64) =
        (start.trim().parse().ok()?, end.trim().parse().ok()?, size.trim().parse().ok()?);
    (start <= end && end < size).then_some((start, size))
}

fn wrong_range(why: &str) -> Error {
    Error::unsupported(format!("the server answers with another range than was asked for: {why}"))
        .remedy("download the file and name it instead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(parse_content_range("bytes 0-0/10"), Some((0, 10)));
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, 10)));
        for bad in
            ["", "bytes */10", "bytes 0-0/*", "bytes 5-4/10", "bytes 0-10/10", "items 0-1/2", "bytes 0-x/3"]
        {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
