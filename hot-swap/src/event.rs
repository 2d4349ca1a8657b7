use std::fmt;
use std::time::Instant;

use crate::Error;
use crate::report::{Report, Step, StepOutcome, StepReport};

/// What an [`Observer`] hears of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A step begins.
    Started(Step),
    /// A step has ended.
    Ended(StepReport),
    /// A line that the build printed.
    Output(String),
    /// Something that is not an error but that a person should know.
    Warning(String),
}

/// One line for a log.
impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(step) => write!(formatter, "{step} ..."),
            Self::Ended(report) => {
                let took = report.took.as_secs_f32();
                match &report.outcome {
                    StepOutcome::Done(None) => write!(formatter, "{}: {took:.2} s", report.step),
                    StepOutcome::Done(Some(note)) => {
                        write!(formatter, "{}: {note} ({took:.2} s)", report.step)
                    }
                    StepOutcome::Skipped(why) => {
                        write!(formatter, "{}: left out, {why}", report.step)
                    }
                    StepOutcome::Failed(why) => write!(formatter, "{}: failed: {why}", report.step),
                }
            }
            Self::Output(line) => formatter.write_str(line),
            Self::Warning(text) => write!(formatter, "warning: {text}"),
        }
    }
}

/// Hears the [`Event`]s of a swap. Implemented by every `Fn(&Event)`.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notify(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn notify(&self, event: &Event) {
        self(event);
    }
}

/// Hears nothing.
pub(crate) struct Silent;

impl Observer for Silent {
    fn notify(&self, _: &Event) {}
}

/// The report while it is being written.
pub(crate) struct Log<'o> {
    pub(crate) report: Report,
    pub(crate) observer: &'o dyn Observer,
}

impl Log<'_> {
    /// Does a step. `note` says what there is to say about it.
    pub(crate) async fn step<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<T, Error>>,
        note: impl FnOnce(&T) -> Option<String>,
    ) -> Result<T, Error> {
        self.observer.notify(&Event::Started(step));
        let started = Instant::now();
        // A step may hold a whole conversation with another program.
        let done = Box::pin(work).await;
        let outcome = match &done {
            Ok(value) => StepOutcome::Done(note(value)),
            Err(error) => StepOutcome::Failed(format!("{error:#}")),
        };
        self.ended(StepReport {
            step,
            outcome,
            took: started.elapsed(),
        });
        done
    }

    pub(crate) fn skipped(&mut self, step: Step, why: impl Into<String>) {
        self.ended(StepReport {
            step,
            outcome: StepOutcome::Skipped(why.into()),
            took: std::time::Duration::ZERO,
        });
    }

    fn ended(&mut self, report: StepReport) {
        self.observer.notify(&Event::Ended(report.clone()));
        self.report.steps.push(report);
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.observer.notify(&Event::Warning(text.clone()));
        self.report.warnings.push(text);
    }
}
