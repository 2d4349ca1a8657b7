//! What lies on the disk of machines with other GPUs, and several sources in turn.

use std::sync::Arc;

use async_trait::async_trait;
use flash_gpu::{
    Backend, DirectMlProbe, Error, ErrorKind, Gpu, GpuProbe, GpuStack, RocmProbe, SystemProbe,
    Vendor,
};
use testkit::Tree;

fn detect(probe: &impl GpuProbe) -> Result<GpuStack, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(probe.detect())
}

fn rocm(tree: &Tree) -> GpuStack {
    let root = tempfile::tempdir().unwrap();
    tree.write_to(root.path());
    detect(&RocmProbe::new().with_root(root.path())).unwrap()
}

const NODES: &str = "sys/class/kfd/kfd/topology/nodes";

/// A CPU and a Radeon RX 7900 XTX, as Linux 6.8 describes them.
fn radeon() -> Tree {
    Tree::new()
        .with(
            &format!("{NODES}/0/properties"),
            "cpu_cores_count 32\nsimd_count 0\nmem_banks_count 1\ngfx_target_version 0\nvendor_id 0\ndevice_id 0\ndrm_render_minor 0\nunique_id 0\n",
        )
        .with(&format!("{NODES}/0/name"), "\n")
        .with(
            &format!("{NODES}/1/properties"),
            "cpu_cores_count 0\nsimd_count 192\nmem_banks_count 1\nsimd_arrays_per_engine 2\ngfx_target_version 110000\n\
             vendor_id 4098\ndevice_id 29772\nlocation_id 768\ndomain 0\ndrm_render_minor 128\nunique_id 11601434525436236431\n",
        )
        .with(&format!("{NODES}/1/name"), "ip discovery\n")
        .with(
            &format!("{NODES}/1/mem_banks/0/properties"),
            "heap_type 1\nsize_in_bytes 25753026560\nflags 0\nwidth 384\n",
        )
        .with("sys/class/drm/renderD128/device/mem_info_vram_total", "25753026560\n")
        .with("sys/class/drm/renderD128/device/mem_info_vram_used", "1213296640\n")
        .with("sys/module/amdgpu/version", "6.8.5\n")
        .with("proc/sys/kernel/osrelease", "6.8.0-45-generic\n")
}

#[test]
fn amds_driver_is_read() {
    let stack = rocm(&radeon());
    assert_eq!(stack.source, "KFD");
    let expected = Gpu::new(0, Vendor::Amd, Backend::Rocm, "ip discovery")
        .with_memory(25_753_026_560, 1_213_296_640)
        .with_architecture("gfx1100");
    assert_eq!(stack.gpus.len(), 1);
    let uuid = format!("GPU-{:016x}", 11_601_434_525_436_236_431_u64);
    assert_eq!(stack.gpus[0], expected.with_uuid(uuid));
    assert_eq!(stack.driver_version.as_deref(), Some("6.8.5"));
    assert_eq!(stack.cuda_version, None);
}

#[test]
fn what_amds_driver_does_not_tell_is_not_known() {
    let device = "sys/class/drm/renderD128/device";
    let tree = radeon()
        .without(&format!("{device}/mem_info_vram_total"))
        .without(&format!("{device}/mem_info_vram_used"))
        .without("sys/module/amdgpu/version")
        .with(&format!("{device}/product_name"), "AMD Instinct MI300X\n")
        // A GPU that this container may not use.
        .with(&format!("{NODES}/2/properties"), "")
        .with(&format!("{NODES}/2/name"), "");
    let stack = rocm(&tree);
    let [gpu] = &*stack.gpus else {
        panic!("{stack:?}")
    };
    assert_eq!(gpu.name, "AMD Instinct MI300X");
    assert_eq!(
        (gpu.memory_total, gpu.memory_used),
        (Some(25_753_026_560), None)
    );
    assert_eq!(
        stack.driver_version.as_deref(),
        Some("of kernel 6.8.0-45-generic")
    );
}

#[test]
fn without_amds_driver_there_is_no_gpu() {
    let stack = rocm(&Tree::new());
    assert_eq!(
        (stack.gpus.len(), &*stack.notes[0]),
        (0, "ROCm: AMD's compute driver (KFD) is not loaded")
    );
    let cpu = radeon().without(&format!("{NODES}/1/properties"));
    assert_eq!(
        rocm(&cpu).notes,
        ["ROCm: AMD's compute driver (KFD) knows no GPU"]
    );
}

#[test]
fn directml_is_found_where_it_is_installed() {
    let wsl = |paths: &[&str]| {
        paths
            .iter()
            .fold(Tree::new(), |tree, path| tree.with(path, ""))
    };
    let (device, library) = ("dev/dxg", "usr/lib/wsl/lib/libdirectml.so");
    for (tree, is_there) in [
        (wsl(&[device, library]), true),
        (wsl(&[device, "usr/lib/wsl/lib/libd3d12.so"]), true),
        (wsl(&["windows/System32/DirectML.dll"]), true),
        (wsl(&[library]), false),
        (wsl(&[device]), false),
        (wsl(&[]), false),
    ] {
        let root = tempfile::tempdir().unwrap();
        tree.write_to(root.path());
        let probe = DirectMlProbe::new()
            .with_root(root.path())
            .with_windows(root.path().join("windows"));
        let stack = detect(&probe).unwrap();
        assert_eq!(
            stack.gpus.len(),
            usize::from(is_there),
            "{:?}",
            tree.paths()
        );
        if is_there {
            let gpu = &stack.gpus[0];
            assert_eq!((gpu.backend, gpu.memory_total), (Backend::DirectMl, None));
            assert!(
                stack.notes[0].contains("does not tell"),
                "{:?}",
                stack.notes
            );
        } else {
            assert_eq!(stack.notes, ["DirectML: not installed"]);
        }
    }
}

#[derive(Debug)]
struct Answer(Result<GpuStack, &'static str>);

#[async_trait]
impl GpuProbe for Answer {
    async fn detect(&self) -> Result<GpuStack, Error> {
        self.0
            .clone()
            .map_err(|text| Error::new(ErrorKind::Probe, text))
    }
}

fn system(sources: Vec<Answer>) -> Result<GpuStack, Error> {
    let sources = sources
        .into_iter()
        .map(|source| Arc::new(source) as Arc<dyn GpuProbe>);
    detect(&SystemProbe::of(sources))
}

fn none(note: &str) -> Answer {
    Answer(Ok(GpuStack::new("none").with_note(note)))
}

fn some(name: &str) -> Answer {
    let gpu = Gpu::new(0, Vendor::Nvidia, Backend::Cuda, name);
    Answer(Ok(GpuStack::new(name)
        .with_gpu(gpu)
        .with_note("its own note")))
}

#[test]
fn the_first_source_that_knows_a_gpu_has_the_word() {
    let stack = system(vec![
        none("NVML: not there"),
        Answer(Err("it hangs")),
        some("one"),
        some("two"),
    ])
    .unwrap();
    assert_eq!(stack.source, "one");
    assert_eq!(stack.notes, ["NVML: not there", "it hangs", "its own note"]);
}

#[test]
fn every_source_is_heard_when_there_is_no_gpu() {
    let stack = system(vec![
        none("NVML: not there"),
        none("nvidia-smi: not installed"),
    ])
    .unwrap();
    assert_eq!(stack.gpus, []);
    assert_eq!(
        stack.notes,
        ["NVML: not there", "nvidia-smi: not installed"]
    );

    let error = system(vec![
        none("NVML: not there"),
        Answer(Err("it hangs")),
        none("ROCm: no"),
    ])
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Probe);
    assert_eq!(
        error.to_string(),
        "no GPU: NVML: not there; it hangs; ROCm: no"
    );
}

/// Whatever this machine has, asking is quick and does no harm.
#[tokio::test]
async fn this_machine_can_be_asked() {
    match SystemProbe::new().detect().await {
        Ok(stack) => assert!(!stack.gpus.is_empty() || !stack.notes.is_empty()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Probe, "{error:?}"),
    }
}
