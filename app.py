"""Kinescope: see what a video transformer looks at. Run with `streamlit run app.py`, or `make app`."""

import pandas  # noqa: F401
import streamlit as st

from training.malloc import share_heaps

# Plotly asks every value whether it is of pandas as soon as a module of that name exists, also while another session is
# still importing it. Here each session waits for the whole of it.
st.set_page_config(page_title="Kinescope", layout="wide", initial_sidebar_state="collapsed")
share_heaps()

PAGES = "xai/dashboard/pages"
page = st.navigation(
    [
        st.Page(f"{PAGES}/explore.py", title="Explore", default=True),
        st.Page(f"{PAGES}/tokens.py", title="Tokens"),
        st.Page(f"{PAGES}/temporal.py", title="Temporal"),
        st.Page(f"{PAGES}/break_it.py", title="Break it"),
        st.Page(f"{PAGES}/my_clip.py", title="My clip"),
        st.Page(f"{PAGES}/data.py", title="Data"),
        st.Page(f"{PAGES}/trust.py", title="Trust"),
        st.Page(f"{PAGES}/export.py", title="Export"),
        st.Page(f"{PAGES}/lessons.py", title="Lessons"),
    ],
    position="top",
)

# The page begins right under its navigation: everything of a clip fits on one screen. The accent of the dark theme is
# bright enough to be read as text; under the white text of a button or of what was chosen from a list it is too
# bright, so those are dark in both.
# A telephone hides the navigation behind a button, so the header says which page this is; where there is room it says
# what all of it is for, and where to begin.
st.html(f"""<style>
[data-testid="stMainBlockContainer"] {{ padding-top: 4rem; padding-bottom: 2rem; }}
[data-testid^="stBaseButton-primary"] {{ background: #1f66c4; border-color: #1f66c4; color: white; }}
[data-testid="stMultiSelectTagsContainer"] [data-tag] {{ background: #1f66c4; }}
@media (min-width: 1100px) {{
  [data-testid="stHeader"]::after {{ content: "What did the model look at? New here: begin with Lessons.";
    position: absolute; right: 6rem; font-size: 0.875rem; opacity: 0.75; }}
}}
@media (max-width: 640px) {{
  [data-testid="stHeader"]::after {{ content: "{page.title}"; position: absolute; left: 4rem; font-weight: 600; }}
}}
</style>""")
page.run()
