"""How Sphinx builds the site: make docs. The pages of reference/ are put beside these first, by scripts/pages."""

project = "skep"
extensions = ["myst_parser"]
html_theme = "furo"
html_show_copyright = False
html_show_sphinx = False
# An anchor for every heading that pages link to.
myst_heading_anchors = 3
# C of the kernel's headers and output of commands are shown as they are.
highlight_language = "none"
