//! The plots. Both axes are logarithmic.

use crate::Result;
use crate::driver::{Figure, PAYLOAD_KINDS, Peer, Report, Row};
use crate::table::{bytes, payload_title};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const PANEL: u32 = 560;
const LEGEND: u32 = 350;
const HEIGHT: u32 = 560;
const FONT: &str = "sans-serif";

const OURS: [RGBColor; 3] = [RGBColor(107, 174, 214), RGBColor(33, 113, 181), RGBColor(8, 48, 107)];
/// In the order of the table; ways of one peer have shades of one colour.
const OTHERS: [RGBColor; 13] = [
    RGBColor(0, 0, 0),
    RGBColor(127, 127, 127),
    RGBColor(230, 85, 13),
    RGBColor(242, 142, 43),
    RGBColor(117, 107, 177),
    RGBColor(173, 140, 220),
    RGBColor(214, 39, 40),
    RGBColor(35, 139, 69),
    RGBColor(100, 190, 100),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(160, 140, 0),
    RGBColor(23, 170, 190),
];

/// The cost of a call against the size of its payload.
pub fn payload(report: &Report, path: &Path) -> Result<()> {
    let root = area(path, PAYLOAD_KINDS.len() as u32)?;
    let (panels, names) = root.split_horizontally(PAYLOAD_KINDS.len() as u32 * PANEL);
    let height = span(report.payloads.iter().flatten());
    for ((panel, kind), rows) in panels.split_evenly((1, 2)).iter().zip(PAYLOAD_KINDS).zip(&report.payloads) {
        lines(panel, payload_title(kind), "size of the payload", report, rows, height)?;
    }
    legend(&names, report)?;
    Ok(root.present()?)
}

/// The cost of a call against the host's touched heap.
pub fn heap(report: &Report, path: &Path) -> Result<()> {
    let root = area(path, 1)?;
    let (panel, names) = root.split_horizontally(PANEL);
    let height = span(report.heaps.iter());
    lines(&panel, "add", "the host's touched heap", report, &report.heaps, height)?;
    legend(&names, report)?;
    Ok(root.present()?)
}

fn area(path: &Path, panels: u32) -> Result<Area<'_>> {
    let root = SVGBackend::new(path, (panels * PANEL + LEGEND, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    Ok(root)
}

/// From the least time to the most.
fn span<'a>(rows: impl Iterator<Item = &'a Row>) -> (f64, f64) {
    let times = rows.flat_map(|(_, figures)| figures).filter_map(time);
    times.fold((f64::MAX, f64::MIN), |(least, most), time| (least.min(time), most.max(time)))
}

fn time(figure: &Figure) -> Option<f64> {
    if let Figure::Time(time) = figure { Some(*time) } else { None }
}

fn lines(
    area: &Area,
    title: &str,
    axis: &str,
    report: &Report,
    rows: &[Row],
    (least, most): (f64, f64),
) -> Result<()> {
    let places: Vec<f64> = rows.iter().map(|(size, _)| place(*size)).collect();
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        return Err(format!("{title}: there is nothing to plot").into());
    };
    let (least, most) = (least / 1.5, most * 1.5);
    let decades =
        (-4..9).map(|power| 10_f64.powi(power)).filter(|time| (least..most).contains(time)).collect();
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 20))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(76)
        .build_cartesian_2d(
            (first / 1.3..last * 1.3).log_scale().with_key_points(places.clone()),
            (least..most).log_scale().with_key_points(decades),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 16))
        .x_desc(axis)
        .y_desc("median time of a call")
        .x_label_formatter(&|x| bytes(if *x == place(0) { 0 } else { x.round() as usize }))
        .y_label_formatter(&|time| duration(*time))
        .draw()?;
    for at in 0..report.peers.len() {
        let points = || {
            let figures = rows.iter().zip(&places);
            figures.filter_map(move |((_, figures), place)| Some((*place, time(&figures[at])?)))
        };
        chart.draw_series(LineSeries::new(points(), style(report, at)))?;
        chart.draw_series(points().map(|point| Circle::new(point, 2, style(report, at).filled())))?;
    }
    Ok(())
}

/// Nothing has no logarithm: it is one step to the left of the least.
fn place(size: usize) -> f64 {
    if size == 0 { 64.0 } else { size as f64 }
}

fn duration(microseconds: f64) -> String {
    let (number, unit) = match microseconds {
        ..0.9 => (microseconds * 1e3, "ns"),
        ..900.0 => (microseconds, "µs"),
        ..900_000.0 => (microseconds / 1e3, "ms"),
        _ => (microseconds / 1e6, "s"),
    };
    format!("{} {unit}", (number * 10.0).round() / 10.0)
}

/// Our lines are blue and thick.
fn style(report: &Report, at: usize) -> ShapeStyle {
    let is_ours = |peer: &Peer| peer.name.starts_with("#[sandboxed");
    let is_at = is_ours(&report.peers[at]);
    let nth = report.peers[..at].iter().filter(|peer| is_ours(peer) == is_at).count();
    let (colours, width) = if is_at { (&OURS[..], 4) } else { (&OTHERS[..], 1) };
    colours[nth % colours.len()].stroke_width(width)
}

/// The names, in the order of the table.
fn legend(area: &Area, report: &Report) -> Result<()> {
    for (at, peer) in report.peers.iter().enumerate() {
        let y = 50 + 24 * at as i32;
        area.draw(&PathElement::new([(4, y), (30, y)], style(report, at)))?;
        let font = (FONT, 16).into_font().color(&BLACK);
        area.draw(&Text::new(peer.name.clone(), (38, y - 6), font))?;
    }
    Ok(())
}
