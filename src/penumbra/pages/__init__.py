"""The stage that draws the report: from manifests, the store and the fitted models to the rows and arrays that the page shows."""

from penumbra.pages.page import report as report
