//! Replies as HTTP means them, and small lies about them.

use std::fmt::Write as _;

use crate::exchange::Exchange;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    CloseAfter(usize),
    ResetAfter(usize),
    HoldAfter(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    ContentLength,
    Chunked,
    UntilClose,
}

/// An HTTP/1.1 reply: status, headers, body. `Content-Length` and `Connection: close` are added unless told otherwise.
#[derive(Clone, Debug)]
pub struct Reply {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    ending: Ending,
    keep_alive: bool,
}

impl Reply {
    /// A reply with this status line's rest, for example `"404 Not Found"`, and no body.
    #[must_use]
    pub fn status(status: &str) -> Self {
        Self {
            status: status.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::ContentLength,
            ending: Ending::Whole,
            keep_alive: false,
        }
    }

    /// `200 OK` with the whole body.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status("200 OK").body(body)
    }

    /// `206 Partial Content`: the bytes of `whole` from `offset` to its end, with the `Content-Range` that belongs to them.
    ///
    /// # Panics
    ///
    /// When `offset` is not inside `whole`.
    #[must_use]
    pub fn partial(offset: usize, whole: impl AsRef<[u8]>) -> Self {
        let whole = whole.as_ref();
        Self::status("206 Partial Content")
            .header(
                "Content-Range",
                &format!("bytes {offset}-{}/{}", whole.len() - 1, whole.len()),
            )
            .body(&whole[offset..])
    }

    /// `302 Found` to `location`.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::status("302 Found").header("Location", location)
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header; one that is there already stays, so a name can be sent twice.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `ETag` as it is written, quotes and `W/` included.
    #[must_use]
    pub fn etag(self, etag: &str) -> Self {
        self.header("ETag", etag)
    }

    /// Sends the body as two chunks and a proper end, without `Content-Length`.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Sends neither `Content-Length` nor chunks: the closed connection is the end.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// Closes the connection after `bytes` bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.ending = Ending::CloseAfter(bytes);
        self
    }

    /// Resets the connection after `bytes` bytes of the body.
    #[must_use]
    pub fn reset_after(mut self, bytes: usize) -> Self {
        self.ending = Ending::ResetAfter(bytes);
        self
    }

    /// Sends `bytes` bytes of the body, then nothing more.
    #[must_use]
    pub fn hold_after(mut self, bytes: usize) -> Self {
        self.ending = Ending::HoldAfter(bytes);
        self
    }

    /// Leaves the connection open for the next request.
    #[must_use]
    pub fn keep_alive(mut self) -> Self {
        self.keep_alive = true;
        self
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match self.framing {
            Framing::ContentLength if !self.has("content-length") => {
                let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
            }
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::ContentLength | Framing::UntilClose => {}
        }
        if !self.keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The bytes on the wire from the head's end on, and how many of them belong to the first `limit` bytes of the body.
    fn framed(&self, limit: usize) -> Vec<u8> {
        let limit = limit.min(self.body.len());
        if self.framing != Framing::Chunked {
            return self.body[..limit].to_vec();
        }
        let mut framed = Vec::new();
        let middle = self.body.len() / 2;
        for (start, end) in [(0, middle), (middle, self.body.len())] {
            if start == end || start >= limit {
                continue;
            }
            framed.extend(format!("{:x}\r\n", end - start).bytes());
            framed.extend(&self.body[start..end.min(limit)]);
            if end <= limit {
                framed.extend(b"\r\n");
            }
        }
        framed
    }
}

impl From<Reply> for Exchange {
    fn from(reply: Reply) -> Self {
        let exchange = Self::new().send(reply.head());
        match reply.ending {
            Ending::CloseAfter(bytes) => exchange.send(reply.framed(bytes)).close(),
            Ending::ResetAfter(bytes) => exchange.send(reply.framed(bytes)).reset(),
            Ending::HoldAfter(bytes) => exchange.send(reply.framed(bytes)).hold(),
            Ending::Whole => {
                let mut framed = reply.framed(usize::MAX);
                if reply.framing == Framing::Chunked {
                    framed.extend(b"0\r\n\r\n");
                }
                let exchange = exchange.send(framed);
                if reply.keep_alive {
                    exchange
                } else {
                    exchange.close()
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_gets_the_headers_that_it_needs() {
        let head = String::from_utf8(Reply::ok("abc").etag("\"x\"").head()).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
        );
        let head = String::from_utf8(Reply::partial(1, "abc").head()).unwrap();
        assert!(
            head.contains("Content-Range: bytes 1-2/3\r\nContent-Length: 2\r\n"),
            "{head}"
        );
    }

    #[test]
    fn a_stated_length_is_not_mended() {
        let head =
            String::from_utf8(Reply::ok("abc").header("content-length", "9").head()).unwrap();
        assert!(!head.contains("Content-Length: 3"), "{head}");
    }

    #[test]
    fn chunks_can_break_anywhere() {
        let reply = Reply::ok("abcd").chunked();
        assert_eq!(reply.framed(usize::MAX), b"2\r\nab\r\n2\r\ncd\r\n");
        assert_eq!(reply.framed(3), b"2\r\nab\r\n2\r\nc");
        assert_eq!(reply.framed(2), b"2\r\nab\r\n");
    }
}
