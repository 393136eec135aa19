"""cron: what differs from the wanted entries."""

from agent.deploys.cron.entry import CronEntry

corrections, questions = CronEntry().corrections, CronEntry().questions
