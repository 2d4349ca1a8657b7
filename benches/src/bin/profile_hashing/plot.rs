use std::error::Error;
use std::num::NonZeroUsize;

use lockstep_benches::{Access, Algorithm};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measure::{ACCESSES, Hasher};
use crate::report::Profile;

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours that people who see no red or no green can tell apart.
const COLOURS: [(Hasher, RGBColor); 3] = [
    (Hasher::Ours(Algorithm::Sha256), RGBColor(0, 114, 178)),
    (Hasher::Openssl, RGBColor(213, 94, 0)),
    (Hasher::Ours(Algorithm::Blake3), RGBColor(0, 158, 115)),
];
const FONT: &str = "sans-serif";

/// Two charts beside each other: one thread by how it reads, and what Lockstep does by threads, if there are several.
pub(crate) fn svg(profile: &Profile) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (1000, 460)).into_drawing_area();
        root.fill(&WHITE)?;
        let title = format!(
            "Hashing on {}, {} cores",
            profile.machine.processor, profile.machine.cores
        );
        let root = root.titled(&title, (FONT, 22))?;
        let root = root.titled(
            &profile.method(),
            (FONT, 14).into_font().color(&BLACK.mix(0.6)),
        )?;
        let threads = profile.threads();
        let (left, right) = if threads.len() == 1 {
            (root.clone(), None)
        } else {
            let (left, right) = root.split_horizontally(540);
            (left, Some(right))
        };
        let labels = ACCESSES.map(|access| access.to_string());
        chart(
            &left,
            &format!("By buffer, files hashed at a time: {}", threads[0]),
            "how a file is read",
            &labels,
            |hasher, index| profile.rate(hasher, ACCESSES[index], threads[0]),
        )?;
        if let Some(right) = right {
            let labels: Vec<_> = threads.iter().map(NonZeroUsize::to_string).collect();
            chart(
                &right,
                "By threads, read as Lockstep does",
                "files hashed at a time",
                &labels,
                |hasher, index| profile.rate(hasher, Access::Lockstep, threads[index]),
            )?;
        }
        root.present()?;
    }
    Ok(text)
}

/// One line for each hasher over equally spaced, labelled places, of which there are at least two.
fn chart(
    area: &Area<'_>,
    caption: &str,
    description: &str,
    labels: &[String],
    rate: impl Fn(Hasher, usize) -> Option<f64>,
) -> Drawn {
    let lines = COLOURS.map(|(hasher, colour)| {
        let points: Vec<_> = (0..labels.len())
            .filter_map(|index| Some((SegmentValue::CenterOf(index), rate(hasher, index)?)))
            .collect();
        (hasher, colour, points)
    });
    let rates = lines
        .iter()
        .flat_map(|(.., points)| points)
        .map(|point| point.1);
    let highest = rates.fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 16))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(56)
        .build_cartesian_2d((0..labels.len() - 1).into_segmented(), 0.0..highest * 1.4)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_desc(description)
        .y_desc("GB/s (10⁹ bytes in a second)")
        .x_labels(labels.len() + 1)
        .x_label_formatter(&|place| match place {
            SegmentValue::CenterOf(index) => labels.get(*index).cloned().unwrap_or_default(),
            _ => String::new(),
        })
        .draw()?;
    for (hasher, colour, points) in lines {
        if points.is_empty() {
            continue;
        }
        let style = colour.stroke_width(2);
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style);
        let line = LineSeries::new(points.clone(), style);
        chart
            .draw_series(line)?
            .label(hasher.to_string())
            .legend(legend);
        // What does not depend on the place was not measured at each of them.
        let is_flat = points.len() > 1
            && points
                .windows(2)
                .all(|two| two[0].1.total_cmp(&two[1].1).is_eq());
        if !is_flat {
            let marks = points
                .into_iter()
                .map(|point| Circle::new(point, 4, colour.filled()));
            chart.draw_series(marks)?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font((FONT, 13))
        .background_style(WHITE)
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::profile;

    #[test]
    fn the_plot_names_everything_and_escapes_it() {
        let text = svg(&profile(true)).unwrap();
        for part in [
            "Test &lt;&amp; CPU&gt;",
            "openssl sha256",
            "blake3",
            "mapped",
            "GB/s",
            "files hashed at a time",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(
            text.starts_with("<svg") && text.trim_end().ends_with("</svg>"),
            "{text}"
        );
        assert!(!svg(&profile(false)).unwrap().contains("openssl"));
    }
}
