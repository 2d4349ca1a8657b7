//! A body that knows where it should end.

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use url::Url;

use super::answer::{Answer, Framing};
use super::failure;
use crate::{Body, Error, ErrorKind};

/// Turns an end that comes too early into an error, which is temporary wherever the rest may still come.
pub(super) fn checked(
    chunks: impl Stream<Item = Result<Bytes, reqwest::Error>> + Send + 'static,
    answer: &Answer,
    url: Url,
) -> Body {
    let (start, length, framing) = (answer.start, answer.length, answer.framing);
    let state = (chunks.boxed(), 0_u64, false);
    stream::unfold(state, move |(mut chunks, seen, over)| {
        let url = url.clone();
        async move {
            if over {
                return None;
            }
            match chunks.next().await {
                Some(Ok(chunk)) => {
                    let seen = seen + chunk.len() as u64;
                    Some((Ok(chunk), (chunks, seen, false)))
                }
                Some(Err(error)) => Some((
                    Err(failure::from_transport(error, &url)),
                    (chunks, seen, true),
                )),
                None => {
                    let error = too_short(start, seen, length, framing)?;
                    Some((Err(error.with_url(&url)), (chunks, seen, true)))
                }
            }
        }
    })
    .boxed()
}

fn too_short(start: u64, seen: u64, length: Option<u64>, framing: Framing) -> Option<Error> {
    let length = length.filter(|length| seen < *length)?;
    let message = format!("the body ended after {seen} of {length} bytes");
    Some(match framing {
        // The server finished properly: what it has is not our file. A part may have been cut by something in between.
        Framing::Marked if start == 0 => Error::new(ErrorKind::Protocol, message),
        Framing::Marked => Error::new(ErrorKind::Protocol, message).temporary(),
        Framing::Length | Framing::UntilClose => Error::new(ErrorKind::Network, message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_end_is_judged_by_how_it_ended() {
        let judge = |start, framing| {
            let error = too_short(start, 3, Some(5), framing).unwrap();
            (error.kind(), error.is_temporary())
        };
        assert_eq!(judge(0, Framing::Marked), (ErrorKind::Protocol, false));
        assert_eq!(judge(2, Framing::Marked), (ErrorKind::Protocol, true));
        assert_eq!(judge(0, Framing::UntilClose), (ErrorKind::Network, true));
        assert!(too_short(0, 5, Some(5), Framing::Marked).is_none());
        assert!(too_short(0, 5, None, Framing::UntilClose).is_none());
    }
}
