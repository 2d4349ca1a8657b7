//! Is the GPU stack what the release needs?

use crate::version::Dotted;
use crate::{Backend, Error, ErrorKind, Gpu, GpuChoice, GpuStack};

/// The chosen GPU.
pub(crate) fn choose<'s>(stack: &'s GpuStack, choice: &GpuChoice) -> Result<&'s Gpu, Error> {
    stack.find(choice).ok_or_else(|| {
        let text = if stack.gpus.is_empty() {
            match stack.notes.join("; ") {
                notes if notes.is_empty() => "no GPU".to_owned(),
                notes => format!("no GPU: {notes}"),
            }
        } else {
            let known: Vec<String> = stack.gpus.iter().map(ToString::to_string).collect();
            format!("there is no GPU {choice}; there is {}", known.join(", "))
        };
        Error::new(ErrorKind::NoGpu, text)
    })
}

/// Whether the driver supports the CUDA that is needed.
pub(crate) fn check_cuda(
    needed: Option<&Dotted>,
    stack: &GpuStack,
    gpu: &Gpu,
) -> Result<(), Error> {
    let Some(needed) = needed else { return Ok(()) };
    let no_cuda = |why: String| {
        let mut text = format!("CUDA {needed} is needed, and {why}");
        for note in &stack.notes {
            text.push_str("; ");
            text.push_str(note);
        }
        Err(Error::new(ErrorKind::NoCuda, text))
    };
    if gpu.backend != Backend::Cuda {
        return no_cuda(format!("{} computes through {}", gpu.name, gpu.backend));
    }
    let supported = stack.cuda_version.as_deref();
    let Some((text, supported)) =
        supported.and_then(|text| Some((text, Dotted::parse_start(text)?)))
    else {
        return no_cuda("the driver does not say which it supports".into());
    };
    if supported < *needed {
        let driver = stack.driver_version.as_deref().unwrap_or("unknown");
        let text = format!(
            "CUDA {needed} is needed, and driver {driver} supports CUDA {text} at most; install a newer driver"
        );
        return Err(Error::new(ErrorKind::DriverTooOld, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vendor;

    fn nvidia(cuda: Option<&str>) -> GpuStack {
        let mut stack = GpuStack::new("test")
            .with_driver_version("535.104.05")
            .with_gpu(Gpu::new(0, Vendor::Nvidia, Backend::Cuda, "NVIDIA L4").with_uuid("GPU-A"))
            .with_gpu(Gpu::new(2, Vendor::Nvidia, Backend::Cuda, "NVIDIA T4").with_uuid("GPU-B"));
        stack.cuda_version = cuda.map(str::to_owned);
        stack
    }

    fn check(needed: &str, stack: &GpuStack) -> Result<(), Error> {
        check_cuda(Dotted::parse(needed).as_ref(), stack, &stack.gpus[0])
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        check("12.9", &nvidia(Some("12.10"))).unwrap();
        check("12", &nvidia(Some("12.0"))).unwrap();
        let error = check("12.10", &nvidia(Some("12.9"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DriverTooOld);
        let text = error.to_string();
        for part in ["12.10", "12.9", "535.104.05"] {
            assert!(text.contains(part), "{text}");
        }
        check_cuda(None, &nvidia(None), &nvidia(None).gpus[0]).unwrap();
    }

    #[test]
    fn a_gpu_without_cuda_is_told_apart_from_an_old_driver() {
        let stack =
            GpuStack::new("KFD").with_gpu(Gpu::new(0, Vendor::Amd, Backend::Rocm, "Instinct"));
        let error = check("12.1", &stack).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoCuda);
        assert_eq!(
            error.to_string(),
            "CUDA 12.1 is needed, and Instinct computes through ROCm"
        );
        let error = check("12.1", &nvidia(None).with_note("it is broken")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoCuda);
        assert!(error.to_string().ends_with("; it is broken"), "{error}");
    }

    #[test]
    fn a_gpu_is_chosen_by_number_or_uuid() {
        let stack = nvidia(None);
        let name = |choice| choose(&stack, &choice).map(|gpu| gpu.name.clone());
        assert_eq!(name(GpuChoice::First).unwrap(), "NVIDIA L4");
        assert_eq!(name(GpuChoice::Index(2)).unwrap(), "NVIDIA T4");
        assert_eq!(name(GpuChoice::Uuid("gpu-b".into())).unwrap(), "NVIDIA T4");
        let error = name(GpuChoice::Index(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoGpu);
        assert_eq!(
            error.to_string(),
            "there is no GPU number 1; there is NVIDIA L4 (number 0, CUDA), NVIDIA T4 (number 2, CUDA)"
        );
        let none = GpuStack::new("nobody")
            .with_note("a: no")
            .with_note("b: no");
        let error = choose(&none, &GpuChoice::First).unwrap_err();
        assert_eq!(error.to_string(), "no GPU: a: no; b: no");
    }
}
