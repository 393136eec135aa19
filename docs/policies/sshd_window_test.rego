package main

import rego.v1

# Mondays: 2026-11-30 10:00 and 20:00 in Berlin; a Sunday before that.
monday_morning := 1796029200000000000

monday_evening := 1796065200000000000

sunday_morning := 1795942800000000000

sshd_changes(cause) := {"deploys": [], "plan": {"changes": [{
	"deploy": "ssh",
	"resource": "file:/etc/ssh/sshd_config.d/00-hostwright.conf",
	"cause": cause,
}]}}

test_sshd_waits_in_the_evening if {
	count(deny) == 1 with input as sshd_changes("intended") with time.now_ns as monday_evening
}

test_sshd_waits_on_a_sunday if {
	count(deny) == 1 with input as sshd_changes("intended") with time.now_ns as sunday_morning
}

test_sshd_changes_on_a_monday_morning if {
	count(deny) == 0 with input as sshd_changes("intended") with time.now_ns as monday_morning
}

test_a_hand_edit_is_repaired_at_any_time if {
	count(deny) == 0 with input as sshd_changes("drift") with time.now_ns as monday_evening
}
