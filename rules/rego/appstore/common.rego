# What the rules about requests and about plans share: the form of a finding, exceptions, and careful reading of input.
package appstore.common

import rego.v1

finding(id, severity, message, path) := {"id": id, "severity": severity, "message": message, "path": path}

# An exception is data: it names its rule, application, owner and last day. Without an owner or after its last day
# it covers nothing; without a date of today nothing is covered either.
covered(id, subject) if {
	some exception in data.config.exceptions
	exception.rule == id
	exception.application == subject.application
	exception.environment in {"*", subject.environment}
	owned(exception)
	current(exception, subject.date)
}

owned(exception) if {
	is_string(exception.owner)
	exception.owner != ""
	is_string(exception.reason)
	exception.reason != ""
}

current(exception, date) if {
	is_date(date)
	is_date(exception.expires)
	date <= exception.expires
}

expired contains exception if {
	some exception in data.config.exceptions
	is_date(today)
	not current(exception, today)
}

is_date(value) if {
	is_string(value)
	regex.match(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, value)
}

# The evaluation date comes with the input, so that the same input always has the same verdict.
default today := ""

today := substring(input.time, 0, 10) if {
	is_string(input.time)
	regex.match(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T`, input.time)
}

# Money arrives as a number or as decimal text; anything else is undefined.
amount(value) := value if {
	is_number(value)
}

amount(value) := to_number(value) if {
	is_string(value)
	regex.match(`^[0-9]{1,12}(\.[0-9]{1,4})?$`, value)
}
