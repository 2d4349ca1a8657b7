use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// How much of a request's headers, and of an answer that the client does not take, is kept.
const BUFFER_LENGTH: usize = 64 * 1024;
/// HTTP/2 requests answered at a time on one connection.
const MAX_STREAMS: u32 = 64;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the headers of a request, and for the next request on a connection that is kept open.
    pub(crate) headers: Duration,
    /// For taking the next chunk of an answer.
    pub(crate) stall: Duration,
}

/// Serves one connection until it ends, loses patience, or was drained after `closing` became
/// true.
pub(crate) async fn serve(
    stream: TcpStream,
    router: TowerToHyperService<Router>,
    patience: Patience,
    mut closing: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity::new());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let in_flight = InFlight::new(&activity);
        let answer = router.call(request);
        async move {
            let response = answer.await?;
            Ok::<_, std::convert::Infallible>(response.map(|body| TrackedBody { body, in_flight }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(BUFFER_LENGTH);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(patience.headers)
        .keep_alive_timeout(patience.headers)
        .max_concurrent_streams(MAX_STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut is_draining = false;
    loop {
        // The deadline moves while the connection works, also to an earlier time, so it is looked
        // at again before any new one can have passed for long.
        let look = activity
            .deadline(patience)
            .min(Instant::now() + patience.headers.min(patience.stall));
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended early");
                }
                return;
            }
            _ = closing.wait_for(|is_closing| *is_closing), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            // hyper's own timer starts only when it knows the version of HTTP, and HTTP/2 has
            // none. This one also sees a client that does not take its answer.
            () = tokio::time::sleep_until(look) => {
                if activity.deadline(patience) <= Instant::now() {
                    tracing::debug!("a connection was closed: the client was idle or too slow");
                    return;
                }
            }
        }
    }
}

/// What happens on one connection.
struct Activity {
    began: Instant,
    /// Milliseconds from `began` to the last sign of progress.
    progress: AtomicU64,
    in_flight: AtomicUsize,
}

impl Activity {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            progress: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    fn touch(&self) {
        let elapsed = self.began.elapsed().as_millis();
        self.progress
            .store(elapsed.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When the connection is to be closed if nothing happens until then.
    fn deadline(&self, patience: Patience) -> Instant {
        let patience = match self.in_flight.load(Ordering::Relaxed) {
            0 => patience.headers,
            _ => patience.stall,
        };
        self.began + Duration::from_millis(self.progress.load(Ordering::Relaxed)) + patience
    }
}

/// A request whose answer has not been handed over completely.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        activity.touch();
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.touch();
    }
}

/// A body that reports each chunk that the connection takes.
struct TrackedBody {
    body: Body,
    in_flight: InFlight,
}

impl HttpBody for TrackedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.in_flight.0.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
