"""services: arguments turned into corrections, one for each unit and drop-in that is not as it should be."""

from agent.deploys.services.unit import Unit

corrections, questions = Unit().corrections, Unit().questions
