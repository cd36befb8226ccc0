"""How often progress and the dashboard's page are shown, and asked for."""

PROGRESS_TERMINAL_SECONDS = 0.1
"""Between two drawings in a terminal, which costs a millisecond or two."""

PROGRESS_NOTEBOOK_SECONDS = 0.5
"""Between two drawings in a notebook, each of which is a message to the browser."""

PROGRESS_SECONDS = 5.0
"""Between two lines where nobody draws over them."""

PROGRESS_POLL_SECONDS = 0.4
"""Between two questions to a scheduler, each a few hundred bytes."""

PROGRESS_WAIT_SECONDS = 60.0
"""What a large graph takes on its way to the scheduler, when a call has returned before it is there."""

PROGRESS_LATE_SECONDS = 1.0
"""What a short look at files or partitions takes at most before it is shown."""

PROGRESS_BAR_WIDTH = 14
"""Columns of a bar in a terminal; label and numbers have the rest of 80."""

DASHBOARD_REFRESH_SECONDS = 2
"""Between two loads of the dashboard's page."""

DASHBOARD_LOOK_SECONDS = 0.5
"""Between two looks at what workers have reported, as often as they do."""

DASHBOARD_PLANS = 12
"""Plans that the dashboard's page lists."""
