//! A backend that keeps every rule but the one that it was told to break.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use downloader::testing::{Breaking, Claims, Fixture};
use downloader::{Body, Downloader, Error, ErrorKind, Request, Response, Validator};
use futures::stream::{self, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    AddsAByte,
    FlipsTheLastBit,
    NeverEnds,
    RefusesTheSecondTime,
    KeepsTheOldContent,
    IgnoresOffsets,
    IgnoresOffsetsButSaysOtherwise,
    StartsAtBlocks,
    EndsOneByteEarly,
    TakesEveryValidatorForStale,
    IgnoresIfRange,
    JudgesTheOffsetBeforeTheValidator,
    HasOneValidatorForAll,
    HasAnotherValidatorEachTime,
    HasNoValidatorForParts,
    HasNoValidator,
    TakesTheSizeForTheValidator,
    StatesWhatIsLeftAsTotal,
    StatesNoTotal,
    IgnoresTheExpectedSize,
    RefusesTheWrongSizeForAWhile,
    SaysStatus,
    SaysNotFoundForAWhile,
    ForgetsTheNeighbours,
    EndsBehindTheEnd,
    PanicsBehindTheEnd,
    ServesAnyScheme,
    IgnoresUserInformation,
    ShowsTheUrl,
    ShowsTheUrlInTheCause,
    EndsSilently,
    GoesOnAfterTheError,
    SaysNotFoundWhenItBreaks,
    RefusesEmptyContents,
    AnswersInOnePiece,
    LosesPermitsOfRequests,
    LosesPermitsOfBodies,
    ServesOneAtATime,
    MixesBodiesUp,
    EndsBeforeTheLength,
    StatesTheLengthAsTotal,
    IgnoresIfRangeWithALength,
    CannotPublish,
    NeverPublishes,
}

#[derive(Debug)]
struct State {
    lie: Lie,
    contents: Mutex<HashMap<Url, Bytes>>,
    opened: Mutex<Vec<Url>>,
    permits: Arc<Semaphore>,
    breaks_at: Mutex<Option<usize>>,
}

/// Fixture and backend in one.
#[derive(Clone, Debug)]
pub(crate) struct Liar(Arc<State>);

impl Liar {
    pub(crate) fn new(lie: Lie) -> Self {
        let permits = if lie == Lie::ServesOneAtATime { 1 } else { 30 };
        Self(Arc::new(State {
            lie,
            contents: Mutex::default(),
            opened: Mutex::default(),
            permits: Arc::new(Semaphore::new(permits)),
            breaks_at: Mutex::default(),
        }))
    }

    fn is(&self, lie: Lie) -> bool {
        self.0.lie == lie
    }

    fn url(name: &str) -> Url {
        Url::parse(&format!("liar://host/{name}")).unwrap()
    }

    fn content(&self, url: &Url) -> Result<Bytes, Error> {
        let error = |kind, what: &str| Err(Error::new(kind, what).with_url(url));
        let has_user = !url.username().is_empty() || url.password().is_some();
        let mut plain = url.clone();
        if self.is(Lie::ServesAnyScheme) && url.scheme() != "liar" {
            return Ok(Bytes::from_static(b"anything"));
        }
        if url.scheme() != "liar" {
            return error(ErrorKind::Unsupported, "not mine");
        }
        if has_user && self.is(Lie::IgnoresUserInformation) {
            plain.set_username("").unwrap();
            plain.set_password(None).unwrap();
        } else if has_user && self.is(Lie::ShowsTheUrl) {
            let what = format!("{url} has user information");
            return Err(Error::new(ErrorKind::Policy, what));
        } else if has_user {
            return error(ErrorKind::Policy, "user information");
        }
        let found = self.0.contents.lock().unwrap().get(&plain).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        match self.0.lie {
            Lie::SaysStatus => error(ErrorKind::Status, "404"),
            Lie::ShowsTheUrlInTheCause => Err(Error::new(ErrorKind::NotFound, "not here")
                .with_source(format!("{url} was not found"))),
            Lie::SaysNotFoundForAWhile => {
                Err(Error::new(ErrorKind::NotFound, "perhaps later").temporary())
            }
            _ => error(ErrorKind::NotFound, "not here"),
        }
    }

    fn validator(&self, content: &Bytes, start: u64) -> Option<Validator> {
        let tag = match self.0.lie {
            Lie::HasNoValidator => return None,
            Lie::HasNoValidatorForParts if start > 0 => return None,
            Lie::HasOneValidatorForAll => "one".to_owned(),
            Lie::TakesTheSizeForTheValidator => content.len().to_string(),
            Lie::HasAnotherValidatorEachTime => self.0.opened.lock().unwrap().len().to_string(),
            // Contents differ from their first byte on, and a digest would take most of the tests' time.
            _ => format!("{:x?}-{}", content.get(..8), content.len()).replace(' ', ""),
        };
        Validator::from_etag(&format!("\"{tag}\""))
    }

    fn start(&self, request: &Request, content: &Bytes) -> Result<u64, Error> {
        let total = content.len() as u64;
        let unchanged = match (self.0.lie, request.if_range()) {
            (Lie::TakesEveryValidatorForStale, wanted) => wanted.is_none(),
            (Lie::IgnoresIfRange, _) | (_, None) => true,
            (Lie::IgnoresIfRangeWithALength, _) if request.length().is_some() => true,
            (Lie::JudgesTheOffsetBeforeTheValidator, _) if request.offset() >= total => true,
            (_, wanted) => wanted == self.validator(content, 0).as_ref(),
        };
        let offset = request.offset();
        let start = match self.0.lie {
            _ if !unchanged => 0,
            Lie::IgnoresOffsets => 0,
            Lie::StartsAtBlocks => offset / 4096 * 4096,
            _ => offset,
        };
        if start > 0 && start >= total && !self.is(Lie::EndsBehindTheEnd) {
            assert!(!self.is(Lie::PanicsBehindTheEnd), "no such byte");
            let what = "no such byte";
            return Err(Error::new(ErrorKind::RangeNotSatisfiable, what).with_url(request.url()));
        }
        Ok(start)
    }

    fn pieces(&self, request: &Request, content: &Bytes, start: u64) -> Vec<Bytes> {
        let from = (start as usize).min(content.len());
        let mut bytes = match self.0.lie {
            Lie::IgnoresOffsetsButSaysOtherwise => content.to_vec(),
            _ => content[from..].to_vec(),
        };
        match self.0.lie {
            Lie::AddsAByte => bytes.push(b'x'),
            Lie::FlipsTheLastBit if !bytes.is_empty() => *bytes.last_mut().unwrap() ^= 1,
            Lie::EndsOneByteEarly if start > 0 => drop(bytes.pop()),
            Lie::EndsBeforeTheLength => {
                let length = request.length().unwrap_or(u64::MAX) as usize;
                bytes.truncate(length.saturating_sub(1));
            }
            _ => {}
        }
        let size = if self.is(Lie::AnswersInOnePiece) {
            usize::MAX
        } else {
            10_000
        };
        bytes.chunks(size).map(Bytes::copy_from_slice).collect()
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.unwrap();
        if self.is(Lie::LosesPermitsOfRequests) {
            // Given back only by a request that comes to its end.
            permit.forget();
            tokio::task::yield_now().await;
            self.0.permits.add_permits(1);
            return Arc::clone(&self.0.permits).acquire_owned().await.unwrap();
        }
        tokio::task::yield_now().await;
        permit
    }

    fn body(&self, pieces: Vec<Bytes>, url: &Url, permit: OwnedSemaphorePermit) -> Body {
        let breaks_at = self.0.breaks_at.lock().unwrap().take();
        let liar = self.clone();
        let permit = match self.0.lie {
            Lie::LosesPermitsOfBodies => {
                permit.forget();
                None
            }
            Lie::ServesOneAtATime => Some(permit),
            _ => None, // only opening needs one
        };
        let mut items: Vec<Result<Bytes, Error>> = Vec::new();
        let mut sent = 0;
        for piece in pieces {
            if breaks_at.is_some_and(|at| sent >= at) {
                let kind = match self.0.lie {
                    Lie::SaysNotFoundWhenItBreaks => ErrorKind::NotFound,
                    _ => ErrorKind::Network,
                };
                if self.0.lie != Lie::EndsSilently {
                    items.push(Err(Error::new(kind, "broke").with_url(url)));
                }
                if self.0.lie != Lie::GoesOnAfterTheError {
                    break;
                }
            }
            sent += piece.len();
            items.push(Ok(piece));
        }
        let url = url.clone();
        let items = stream::iter(items).map(move |item| {
            let _held = &permit;
            match liar.0.lie {
                // As if there were one cursor for all.
                Lie::MixesBodiesUp if liar.0.opened.lock().unwrap().last() != Some(&url) => {
                    Ok(Bytes::from_static(b"of another file"))
                }
                _ => item,
            }
        });
        let liar = self.clone();
        let end = stream::poll_fn(move |_| {
            match liar.0.lie {
                Lie::NeverEnds => return std::task::Poll::Pending,
                Lie::LosesPermitsOfBodies => liar.0.permits.add_permits(1),
                _ => {}
            }
            std::task::Poll::Ready(None)
        });
        items.chain(end).boxed()
    }
}

#[async_trait]
impl Downloader for Liar {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let url = request.url();
        let permit = self.permit().await;
        let content = self.content(url)?;
        let seen = self.0.opened.lock().unwrap().contains(url);
        if seen && self.is(Lie::RefusesTheSecondTime) {
            return Err(Error::new(ErrorKind::Network, "once is enough").with_url(url));
        }
        self.0.opened.lock().unwrap().push(url.clone());
        let total = content.len() as u64;
        if request.expected_size().is_some_and(|size| size != total)
            && !self.is(Lie::IgnoresTheExpectedSize)
        {
            let error = Error::new(ErrorKind::Protocol, "another size").with_url(url);
            return Err(match self.0.lie {
                Lie::RefusesTheWrongSizeForAWhile => error.temporary(),
                _ => error,
            });
        }
        if total == 0 && self.is(Lie::RefusesEmptyContents) {
            return Err(Error::new(ErrorKind::Protocol, "nothing there").with_url(url));
        }
        let start = self.start(request, &content)?;
        let stated = match (self.0.lie, request.length()) {
            (Lie::StatesNoTotal, _) => None,
            (Lie::StatesWhatIsLeftAsTotal, _) => Some(total - start),
            (Lie::StatesTheLengthAsTotal, Some(length)) => Some(length),
            _ => Some(total),
        };
        let pieces = self.pieces(request, &content, start);
        let validator = self.validator(&content, start);
        Ok(Response::new(start, self.body(pieces, url, permit))
            .with_total(stated)
            .with_validator(validator))
    }
}

#[async_trait]
impl Fixture for Liar {
    fn downloader(&self) -> Arc<dyn Downloader> {
        Arc::new(self.clone())
    }

    fn claims(&self) -> Claims {
        Claims::all()
    }

    async fn publish(&self, name: &str, content: Bytes) -> Url {
        assert!(!self.is(Lie::CannotPublish), "the disk is full");
        if self.is(Lie::NeverPublishes) {
            std::future::pending::<()>().await;
        }
        let mut contents = self.0.contents.lock().unwrap();
        let is_new = !contents.contains_key(&Self::url(name));
        if is_new || !self.is(Lie::KeepsTheOldContent) {
            contents.insert(Self::url(name), content);
        }
        Self::url(name)
    }

    async fn remove(&self, name: &str) {
        let mut contents = self.0.contents.lock().unwrap();
        if self.is(Lie::ForgetsTheNeighbours) {
            contents.clear();
        }
        contents.remove(&Self::url(name));
    }

    async fn open_breaking(&self, name: &str, content: Bytes, after: u64) -> Breaking {
        let url = self.publish(name, content).await;
        *self.0.breaks_at.lock().unwrap() = Some(after as usize);
        Breaking::Opened(self.open(&Request::new(url)).await)
    }
}
