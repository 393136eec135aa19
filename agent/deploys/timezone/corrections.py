"""timezone: what differs from the wanted one."""

from agent.deploys.timezone.timezone import Timezone

corrections, questions = Timezone().corrections, Timezone().questions
