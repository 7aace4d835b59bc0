"""What the screens read, by name."""

from console.messages import Want

STATS = Want("/v1/stats")
ALERTS = Want("/v1/alerts")
QUEUES = Want("/v1/queues")
FUNCTIONS = Want("/v1/functions")
STORES = Want("/v1/stores")
EVENTS = Want("/v1/events", (("limit", "50"),))
SCHEDULES = Want("/v1/schedules", (("limit", "500"),))
CONTRACTS = Want("/v1/contracts")
BULKS = Want("/v1/bulk")
AUDIT = Want("/v1/audit")
TASKS = Want("/v1/tasks", every=0)
