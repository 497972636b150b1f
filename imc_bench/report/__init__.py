"""From a store to cells with intervals, tables, plots and one page."""
