use anstyle::{AnsiColor, Style};

/// What is shown how; styles without effect where there are no colours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Styles {
    pub(super) dim: Style,
    pub(super) method: Style,
    pub(super) good: Style,
    pub(super) moved: Style,
    pub(super) refused: Style,
    pub(super) bad: Style,
    pub(super) sent: Style,
    pub(super) received: Style,
}

impl Styles {
    pub(super) fn plain() -> Self {
        Self::default()
    }

    pub(super) const fn coloured() -> Self {
        Self {
            dim: Style::new().dimmed(),
            method: Style::new().bold(),
            good: AnsiColor::Green.on_default(),
            moved: AnsiColor::Cyan.on_default(),
            refused: AnsiColor::Yellow.on_default(),
            bad: AnsiColor::Red.on_default().bold(),
            sent: AnsiColor::Blue.on_default(),
            received: AnsiColor::Magenta.on_default(),
        }
    }

    /// By the class of the status.
    pub(super) const fn status(&self, status: Option<u16>) -> Style {
        match status {
            Some(200..300) => self.good,
            Some(300..400) => self.moved,
            Some(400..500) => self.refused,
            Some(500..) => self.bad,
            _ => self.dim,
        }
    }
}
