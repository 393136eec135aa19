"""services: what differs from the wanted units and their drop-ins."""

from agent.deploys.services.unit import Unit

corrections, questions = Unit().corrections, Unit().questions
