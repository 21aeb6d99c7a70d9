# What all rules share: the form of a finding, exceptions, and careful reading of input.
package appstore.common

import rego.v1

finding(id, severity, message, path) := {"id": id, "severity": severity, "message": message, "path": path}

# An exception (data.exceptions) names its rule, its application or team, its owner, who approved it, its first and its
# last day. One that is not complete, not in force, or from a rule that knows no exceptions covers nothing; without a
# date of today nothing is covered at all.
#
# subject: {"application": name, "team": name, "environment": name, or "*" for all environments together}
covering(id, subject) := {exception |
	some exception in in_force
	exception.rule == id
	applies(exception, subject)
}

covered(id, subject) if count(covering(id, subject)) > 0

in_force contains exception if {
	some exception in sound
	exception.granted <= today
	today <= exception.expires
}

ended contains exception if {
	some exception in sound
	today > exception.expires
}

sound contains exception if {
	is_date(today)
	some exception in data.exceptions
	data.rules[exception.rule].exceptable == true
	said(exception.owner)
	said(exception.approved_by)
	lower(exception.owner) != lower(exception.approved_by)
	said(exception.reason)
	is_date(exception.granted)
	is_date(exception.expires)
	days(exception.expires) - days(exception.granted) <= data.config.exceptions.max_days
	scoped(exception)
}

scoped(exception) if exception.application != "*"

scoped(exception) if exception.team != "*"

applies(exception, subject) if {
	concerns(exception, subject)
	exception.environment in {"*", subject.environment}
}

# Whether it is about this application or team, in whatever environment.
concerns(exception, subject) if {
	exception.application in {"*", subject.application}
	exception.team in {"*", subject.team}
}

said(value) if {
	is_string(value)
	trim_space(value) != ""
}

# What the exceptions of a subject have to say: set aside, ended, ends soon. `prefix` is that of the package's rules;
# notices are about the rules that begin with one of `families`.
notices(prefix, families, violations, subject) := set_aside | after_the_end | before_the_end if {
	set_aside := {finding(sprintf("%s-090", [prefix]), "info", excepted(exception, violation), violation.path) |
		some violation in violations
		some exception in covering(violation.id, subject)
	}
	after_the_end := {finding(sprintf("%s-091", [prefix]), "info", over(exception), "") |
		some exception in ended
		substring(exception.rule, 0, 3) in families
		noticed(exception, subject)
	}
	before_the_end := {finding(sprintf("%s-092", [prefix]), urgency(exception), ending(exception), "") |
		some exception in in_force
		substring(exception.rule, 0, 3) in families
		noticed(exception, subject)
		days_left(exception) <= max(data.config.exceptions.notice_days)
	}
}

noticed(exception, subject) if {
	subject.environment == "*"
	concerns(exception, subject)
}

noticed(exception, subject) if applies(exception, subject)

excepted(exception, violation) := sprintf(
	"An exception from %s is in force until %s (owner %s, approved by %s): %s",
	[violation.id, exception.expires, exception.owner, exception.approved_by, violation.message],
)

over(exception) := sprintf(
	"The exception from %s of %s ended on %s: remove it, or ask for another.",
	[exception.rule, exception.owner, exception.expires],
)

ending(exception) := sprintf(
	"The exception from %s of %s ends on %s, in %d days.",
	[exception.rule, exception.owner, exception.expires, days_left(exception)],
)

days_left(exception) := days(exception.expires) - days(today)

# The first notice is information, the later ones are warnings.
urgency(exception) := "info" if {
	later := {notice | some notice in data.config.exceptions.notice_days; notice < max(data.config.exceptions.notice_days)}
	every notice in later {
		days_left(exception) > notice
	}
} else := "warning"

is_date(value) if {
	is_string(value)
	regex.match(`^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`, value)
}

is_time(value) if {
	is_string(value)
	regex.match(`^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$`, value)
}

# Day number of a date, by arithmetic alone: the built-ins for time fail on the 30th of February, and the engines
# disagree about what a failing built-in means.
days(date) := (((day + floor(((153 * month) + 2) / 5)) + (365 * year)) + leap_days) - 32045 if {
	is_date(date)
	plain_month := part(date, 5, 2)
	shift := floor((14 - plain_month) / 12)
	year := (part(date, 0, 4) + 4800) - shift
	month := (plain_month + (12 * shift)) - 3
	day := part(date, 8, 2)
	leap_days := (floor(year / 4) - floor(year / 100)) + floor(year / 400)
}

seconds(time) := (days(substring(time, 0, 10)) * 86400) + ((part(time, 11, 2) * 3600) + ((part(time, 14, 2) * 60) + part(time, 17, 2))) if {
	is_time(time)
}

part(text, start, length) := number if {
	digits := trim_left(substring(text, start, length), "0")
	digits != ""
	number := to_number(digits)
} else := 0

# The evaluation date comes with the input, so that the same input always has the same verdict.
default today := ""

today := substring(input.time, 0, 10) if is_time(input.time)

# Money arrives as a number or as decimal text; anything else is undefined.
amount(value) := value if {
	is_number(value)
}

amount(value) := to_number(value) if {
	is_string(value)
	regex.match(`^[0-9]{1,12}(\.[0-9]{1,4})?$`, value)
}

# Money as people read it. Not by %v: engines write very small and very large numbers in different ways.
shown(value) := value if is_string(value)

shown(value) := sprintf("%d.%s", [floor(cents / 100), substring(sprintf("%d", [100 + (cents % 100)]), 1, 2)]) if {
	is_number(value)
	value >= 0
	value < 1000000000000
	cents := round(value * 100)
}

shown(value) := "less than nothing" if {
	is_number(value)
	value < 0
}

shown(value) := "more than anybody pays" if {
	is_number(value)
	value >= 1000000000000
}
