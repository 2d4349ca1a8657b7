//! Programs that pretend to be `nvidia-smi`.

use std::time::Duration;

use flash_gpu::{Error, ErrorKind, GpuProbe, GpuStack, NvidiaSmi};

use crate::world::program;

const TABLE: &str = "0, NVIDIA L4, GPU-1, 23034, 0, 535.104.05, 8.9, [N/A]";
const PAGE: &str = "| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |";

async fn ask(name: &str, text: &str) -> Result<GpuStack, Error> {
    NvidiaSmi::new(program(&format!("smi-{name}"), text))
        .with_deadline(Duration::from_secs(30))
        .detect()
        .await
}

#[tokio::test]
async fn the_table_and_the_page_are_read() {
    let text = format!(
        "case $1 in
        --query-gpu=*mig.mode.current) [ \"$2\" = --format=csv,noheader,nounits ] && echo '{TABLE}' ;;
        '') echo '{PAGE}' ;;
        *) exit 2 ;;
        esac"
    );
    let stack = ask("good", &text).await.unwrap();
    assert_eq!(stack.source, "nvidia-smi");
    assert_eq!(stack.gpus[0].name, "NVIDIA L4");
    assert_eq!(stack.driver_version.as_deref(), Some("535.104.05"));
    assert_eq!(stack.cuda_version.as_deref(), Some("12.2"));
    assert_eq!(stack.notes, [""; 0]);
}

#[tokio::test]
async fn an_old_program_is_asked_for_less() {
    let text = format!(
        "case $1 in
        --query-gpu=*compute_cap*) echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2 ;;
        --query-gpu=*driver_version) echo '0, Quadro, GPU-1, 2002, 10, 450.57' ;;
        '') echo '{PAGE}' ;;
        *) exit 2 ;;
        esac"
    );
    let stack = ask("old", &text).await.unwrap();
    assert_eq!(
        (&*stack.gpus[0].name, &stack.gpus[0].architecture),
        ("Quadro", &None)
    );
}

#[tokio::test]
async fn without_the_page_the_cuda_is_not_known() {
    let text = format!("[ $# = 0 ] && {{ echo broken; exit 1; }}; echo '{TABLE}'");
    let stack = ask("no-page", &text).await.unwrap();
    assert_eq!((stack.gpus.len(), &stack.cuda_version), (1, &None));
    assert_eq!(
        stack.notes,
        [
            "nvidia-smi: broken",
            "nvidia-smi does not say which CUDA the driver supports"
        ]
    );
}

#[tokio::test]
async fn what_is_not_installed_has_no_gpu() {
    let stack = NvidiaSmi::new("/nonexistent/nvidia-smi")
        .detect()
        .await
        .unwrap();
    assert_eq!(stack.gpus, []);
    assert_eq!(stack.notes, ["nvidia-smi: not installed"]);
    let text = "echo 'No devices were found'; exit 6";
    let stack = ask("none", text).await.unwrap();
    assert_eq!(
        (stack.gpus.len(), &*stack.notes[0]),
        (0, "nvidia-smi: no devices were found")
    );
}

#[tokio::test]
async fn what_does_not_work_is_an_error_with_its_words() {
    let broken = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. \
                  Make sure that the latest NVIDIA driver is installed and running.";
    for (name, text, said) in [
        (
            "broken",
            format!("echo \"{broken}\"; exit 9"),
            "exit status: 9: NVIDIA-SMI has failed because",
        ),
        (
            "mismatch",
            "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18".into(),
            "version mismatch",
        ),
        (
            "garbage",
            "head -c 1000 /dev/zero | tr '\\0' x".into(),
            "printed no list of GPUs",
        ),
        (
            "binary",
            "printf '\\377\\376\\n\\377'".into(),
            "printed no list of GPUs",
        ),
        ("silent", "exit 0".into(), "printed nothing"),
        (
            "endless",
            "while echo 0123456789012345678901234567890123456789; do :; done".into(),
            "gave no answer",
        ),
    ] {
        let error = ask(name, &text).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Probe, "{name}");
        assert!(format!("{error:#}").contains(said), "{name}: {error:#}");
    }
}

#[tokio::test]
async fn a_lost_gpu_does_not_hide_the_others() {
    let lost = "Unable to determine the device handle for GPU0000:41:00.0: Unknown Error";
    let text =
        format!("[ $# = 0 ] && {{ echo '{PAGE}'; exit; }}; echo '{TABLE}'; echo '{lost}'; exit 15");
    let stack = ask("lost", &text).await.unwrap();
    assert_eq!(stack.gpus.len(), 1);
    assert_eq!(stack.notes, [format!("nvidia-smi: {lost}")]);
}

#[tokio::test]
async fn a_program_that_hangs_is_killed() {
    let hanging = NvidiaSmi::new(program("smi-hanging", "exec sleep 1000"))
        .with_deadline(Duration::from_millis(100));
    let error = hanging.detect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Probe);
    assert_eq!(
        format!("{error:#}"),
        "nvidia-smi gave no answer: the program did not end within 0.1 s"
    );
}
