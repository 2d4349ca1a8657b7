use updater::{Diagnosis, Updater};

use crate::args;
use crate::exit::{Exit, Failure};
use crate::output::{Reply, doctor};
use crate::progress::Progress;
use crate::signals;

pub(crate) async fn run(arguments: args::Doctor) -> Result<Reply, Failure> {
    let root = &arguments.place.root;
    let progress = Progress::default();
    let cancel = signals::cancellation(signals::STOPPING)?;
    let updater = Updater::builder(root)
        .with_observer(progress.observer())
        .with_mirrors(arguments.mirrors)
        .build()?;
    if arguments.fix {
        let fixed = updater.fix(&cancel).await;
        progress.clear();
        let report = fixed?;
        return Ok(
            Reply::report(&doctor::fixed(root, &report), doctor::fixed_json(&report))
                .with_warnings(progress.warnings(&[]))
                .with_exit(exit(&report.remaining)),
        );
    }
    let examined = updater.examine(&cancel).await;
    progress.clear();
    let diagnosis = examined?;
    Ok(Reply::report(
        &doctor::diagnosis(root, &diagnosis),
        doctor::diagnosis_json(&diagnosis),
    )
    .with_exit(exit(&diagnosis)))
}

fn exit(diagnosis: &Diagnosis) -> Exit {
    if diagnosis.is_healthy() {
        Exit::Done
    } else {
        Exit::Failed
    }
}
