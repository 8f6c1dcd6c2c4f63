"""Pictures: pure functions from results to plotly figures or to Player scenes."""
