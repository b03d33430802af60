/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MESSAGE_IDs of the journal's records; systemd/revshelld.catalog explains each. */
#pragma once

/* Random, by systemd-id128 new. An id never changes its meaning: a new one is made instead. */
#define MESSAGE_DENIED	       "e6e26c7a3db4450abc882a4f15b210dc"
#define MESSAGE_KILLED	       "2b69b9f04d1744f1b1cbe43d86bd4b33"
#define MESSAGE_WOULD_DENY     "4e6060f1f8224c82aa10a747e1253b8d"
#define MESSAGE_REPORTED       "bd7f29714c694382b3f46b1172030245"
#define MESSAGE_LEFT_OUT       "8584ce5dae774d838c550f1f072f5518"
#define MESSAGE_LOST	       "dab17d8e517e4802a86eb6371d0d3b31"
#define MESSAGE_MODE	       "524c105328d84051a3033cd269dae07b"
#define MESSAGE_DEGRADED       "c85a408a577e40b18af33a62fdf7b548"
#define MESSAGE_RELOADED       "93bb60d59e274bacb65b3d3e72904024"
#define MESSAGE_RELOAD_FAILED  "23b3a6940a9e4a9790007a8ec3b91cdc"
#define MESSAGE_POLICIES       "82f04e7ba10c48de894fc2ccb2b2c472"
#define MESSAGE_LOCKED	       "443fb6a0bd0042d480da7cdc3062d16d"
#define MESSAGE_STOPPING       "191d8e0c464346c5bb1da9d345823a81"
#define MESSAGE_EXPORT_FAILED  "69e64cd9949940bf825f29652aaee6e5"
#define MESSAGE_EXPORT_RESUMED "82cbeb3c7c8945ccb0e7e16d49f8ef46"

/* As the log takes it: a whole field. */
#define MESSAGE_FIELD(id)      "MESSAGE_ID=" id
