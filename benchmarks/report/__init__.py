"""What was measured, as tables, a chart and pages."""
