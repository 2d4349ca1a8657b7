//! Who packs hears how far it is, and can stop it.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use package::{ErrorKind, PackProgress, ToolFolder};

use crate::support::{World, noise, pack, unwatched};

fn world() -> (World, [ToolFolder; 1]) {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    world.write("tool/frontend/index.html", "<!doctype html>");
    world.write("tool/big.gguf", noise(5 << 20));
    let half: Vec<u8> = noise(12 << 20).iter().map(|byte| byte & 0x3F).collect();
    world.write("tool/big.txt", half);
    world.write("tool/held.txt", "a\n".repeat(3 << 20));
    (world, [tool])
}

#[test]
fn every_byte_that_is_announced_is_packed() {
    let (world, folders) = world();
    let (announced, packed) = (AtomicU64::new(0), AtomicU64::new(0));
    let said = Mutex::new(Vec::new());
    let observe = |progress: PackProgress<'_>| {
        match progress {
            PackProgress::Archive { name, bytes } => {
                said.lock().unwrap().push(name.to_owned());
                announced.fetch_add(bytes, Ordering::Relaxed);
            }
            PackProgress::Packed(bytes) => {
                packed.fetch_add(bytes, Ordering::Relaxed);
            }
            PackProgress::Scanning { .. } => said.lock().unwrap().push("scan".into()),
            PackProgress::Committing => said.lock().unwrap().push("commit".into()),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    world.packer().pack(&folders, observe).unwrap();
    assert_eq!(announced.into_inner(), packed.into_inner());
    let said = said.into_inner().unwrap();
    let order = [
        "scan",
        "frontend_sketcher_1.2.0.zip",
        "tool_sketcher_1.2.0.zip",
        "commit",
    ];
    assert_eq!(said, order);
}

#[test]
fn stopped_anywhere_it_leaves_what_was_there() {
    let (world, folders) = world();
    let other = world.tool("other", "another", "1.0");
    pack(&world.packer(), &[other]);
    let before = world.listing();
    let calls = AtomicUsize::new(0);
    let count = |progress: PackProgress<'_>| {
        calls.fetch_add(1, Ordering::SeqCst);
        unwatched(progress)
    };
    world.packer().plan(&folders, count).unwrap();
    let all = AtomicUsize::new(0);
    let mut stop_at = 0;
    loop {
        all.store(0, Ordering::SeqCst);
        let observe = |progress: PackProgress<'_>| {
            let is_reached = all.fetch_add(1, Ordering::SeqCst) >= stop_at;
            if is_reached && progress != PackProgress::Committing {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        match world.packer().pack(&folders, observe) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:#}");
                assert_eq!(world.listing(), before, "stopped at {stop_at}");
            }
            Ok(_) => break,
        }
        stop_at = stop_at * 5 / 4 + 1;
    }
    assert!(stop_at > calls.into_inner());
    assert_eq!(world.listing().len(), before.len() + 2);
}
