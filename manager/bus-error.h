/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of D-Bus errors, and the errno each stands for. */
#pragma once

#include <systemd/sd-bus.h>

#define BUS_ERROR_NO_SUCH_POLICY      "org.revshell1.Error.NoSuchPolicy"
#define BUS_ERROR_POLICY_EXISTS	      "org.revshell1.Error.PolicyExists"
#define BUS_ERROR_POLICY_INVALID      "org.revshell1.Error.PolicyInvalid"
#define BUS_ERROR_POLICY_IS_VENDOR    "org.revshell1.Error.PolicyIsVendor"
#define BUS_ERROR_GENERATION_MISMATCH "org.revshell1.Error.GenerationMismatch"
#define BUS_ERROR_LOCKED	      "org.revshell1.Error.Locked"
#define BUS_ERROR_NOTHING_PENDING     "org.revshell1.Error.NothingPending"
#define BUS_ERROR_CHANGE_PENDING      "org.revshell1.Error.ChangePending"
#define BUS_ERROR_NO_SUCH_EVENT	      "org.revshell1.Error.NoSuchEvent"
#define BUS_ERROR_BACKEND_UNAVAILABLE "org.revshell1.Error.BackendUnavailable"
#define BUS_ERROR_LIMIT_EXCEEDED      "org.revshell1.Error.LimitExceeded"

/* Makes sd-bus translate the names above to errnos and back. May be called more than once. */
int bus_error_register(void);
