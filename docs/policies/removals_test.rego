package main

import rego.v1

wanting(key, absent) := {"plan": null, "deploys": [{"resources": [{"key": key, "absent": absent, "wanted": {}}]}]}

leaving(key) := {"deploys": [], "plan": {"changes": [], "removals": [{"resource": key, "fate": "remove"}]}}

test_sudo_is_not_made_absent if count(deny) == 1 with input as wanting("package:sudo", true)

test_sudo_may_be_wanted if count(deny) == 0 with input as wanting("package:sudo", false)

test_an_account_does_not_go_because_it_left_git if count(deny) == 1 with input as leaving("user:ops")

test_other_packages_go if count(deny) == 0 with input as leaving("package:jq")
