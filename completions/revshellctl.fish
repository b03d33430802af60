# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of revshellctl for fish.

function __revshellctl_policies
    revshellctl policy list --no-legend 2>/dev/null | string replace -r ' .*' ''
end

# The words before the cursor that are no options: nothing, VERB, "policy VERB".
function __revshellctl_words
    commandline -opc | string match -v -- '-*' | tail -n +2
end

function __revshellctl_at
    set -l words (__revshellctl_words)
    test "$words" = "$argv"
end

function __revshellctl_in
    set -l words (__revshellctl_words)
    string match -q -- "$argv*" "$words"
end

complete -c revshellctl -f
complete -c revshellctl -l bus -x -a 'system session' -d 'Bus'
complete -c revshellctl -s H -l host -x -a '(__fish_print_hostnames)' -d 'Ask the daemon of another host'
complete -c revshellctl -l json -x -a 'off short pretty' -d 'Format'
complete -c revshellctl -l no-legend -d 'No headings on tables'
complete -c revshellctl -s h -l help -d 'Show a summary'
complete -c revshellctl -l version -d 'Show the version'

complete -c revshellctl -n __revshellctl_at -a status -d 'Show mode, backend and policies'
complete -c revshellctl -n __revshellctl_at -a enforce -d 'Carry verdicts out, or only report them'
complete -c revshellctl -n __revshellctl_at -a policy -d 'List, check and change policies'
complete -c revshellctl -n __revshellctl_at -a confirm -d 'Keep the mode that is on trial'
complete -c revshellctl -n __revshellctl_at -a rollback -d 'Bring back the mode before the trial'
complete -c revshellctl -n __revshellctl_at -a lock -d 'Let nothing be weakened until the next boot'
complete -c revshellctl -n __revshellctl_at -a apply -d 'Put policies in force, all or nothing'
complete -c revshellctl -n __revshellctl_at -a reload -d 'Load the policy directories anew'
complete -c revshellctl -n __revshellctl_at -a events -d 'Show the last events, or follow them'
complete -c revshellctl -n __revshellctl_at -a explain -d 'Tell why an event came about'
complete -c revshellctl -n __revshellctl_at -a simulate -d 'Tell what would come of a call, and why'
complete -c revshellctl -n __revshellctl_at -a stats -d 'Show counters'
complete -c revshellctl -n __revshellctl_at -a doctor -d 'Tell what of this host stands in the way'
complete -c revshellctl -n __revshellctl_at -a stop -d 'End the daemon'
complete -c revshellctl -n __revshellctl_at -a version -d 'Show the versions'
complete -c revshellctl -n __revshellctl_at -a help -d 'Show a summary'

complete -c revshellctl -n '__revshellctl_at policy' -a list -d 'List the loaded policies'
complete -c revshellctl -n '__revshellctl_at policy' -a show -d 'Show what is known of a policy'
complete -c revshellctl -n '__revshellctl_at policy' -a cat -d 'Print the text of a policy'
complete -c revshellctl -n '__revshellctl_at policy' -a check -d 'Check policies without daemon'
complete -c revshellctl -n '__revshellctl_at policy' -a diff -d 'Compare with files'
complete -c revshellctl -n '__revshellctl_at policy' -a add -d 'Add the policies of a file'
complete -c revshellctl -n '__revshellctl_at policy' -a remove -d 'Remove a policy'
complete -c revshellctl -n '__revshellctl_at policy' -a mode -d 'Set the mode of one policy'
complete -c revshellctl -n '__revshellctl_at policy' -a enable -d 'Let a policy count again'
complete -c revshellctl -n '__revshellctl_at policy' -a disable -d 'Leave a policy out'

complete -c revshellctl -n '__revshellctl_at enforce' -a 'on off status'
complete -c revshellctl -n '__revshellctl_at help' -a 'status enforce policy confirm rollback lock apply reload events explain simulate stats doctor stop version help'
complete -c revshellctl -n '__revshellctl_at help policy' -a 'list show cat check diff add remove mode enable disable'
complete -c revshellctl -n '__revshellctl_in enforce' -l confirm -x -a '30s 5m 1h' -d 'Only on trial'
complete -c revshellctl -n '__revshellctl_in enforce' -l persist -d 'Also for the boots that come'
for verb in enforce lock reload apply 'policy add' 'policy remove' 'policy mode' 'policy enable' 'policy disable'
    complete -c revshellctl -n "__revshellctl_in $verb" -l reason -x -d 'For the log'
end
for verb in apply 'policy add' 'policy remove'
    complete -c revshellctl -n "__revshellctl_in $verb" -l dry-run -d 'Only check'
    complete -c revshellctl -n "__revshellctl_in $verb" -l runtime -d 'Until the next boot'
end
complete -c revshellctl -n '__revshellctl_in apply' -l replace-all -d 'Remove all other policies'
complete -c revshellctl -n '__revshellctl_in policy remove' -l mask -d 'Hide the file of a lower directory'
for verb in apply simulate explain 'policy check' 'policy diff' 'policy add'
    complete -c revshellctl -n "__revshellctl_in $verb" -F
end
for verb in show cat remove mode enable disable
    complete -c revshellctl -n "__revshellctl_at policy $verb" -a '(__revshellctl_policies)'
end
complete -c revshellctl -n 'string match -qr "^policy mode [^ ]+\$" -- (__revshellctl_words | string join " ")' -a 'enforce monitor off default'
complete -c revshellctl -n '__revshellctl_in policy check' -l tetragon -d 'Warn about what Tetragon would not load'
complete -c revshellctl -n '__revshellctl_in policy check' -l offline -d 'Do not look at this host'
for verb in simulate explain
    complete -c revshellctl -n "__revshellctl_in $verb" -l offline -d 'By the policies of files'
end
complete -c revshellctl -n '__revshellctl_in events' -s f -l follow -d 'Show events as they come'
complete -c revshellctl -n '__revshellctl_in events' -s n -l lines -x -d 'Begin with the last events'
complete -c revshellctl -n '__revshellctl_in events' -l since -x -a '10m 2h today yesterday' -d 'Only events since then'
complete -c revshellctl -n '__revshellctl_in events' -s o -l output -x -a 'compact json tetragon' -d 'Format'
for verb in events explain
    complete -c revshellctl -n "__revshellctl_in $verb" -l policy -x -a '(__revshellctl_policies)' -d 'Only events of a policy'
    complete -c revshellctl -n "__revshellctl_in $verb" -l exe -r -F -d 'Only events of an executable'
    complete -c revshellctl -n "__revshellctl_in $verb" -l verdict -x -a 'allowed would-deny denied killed' -d 'Only events with a verdict'
end
complete -c revshellctl -n '__revshellctl_in simulate' -l exe -r -F -d 'Executable'
complete -c revshellctl -n '__revshellctl_in simulate' -l hook -x -a 'connect listen bind sendmsg create accept setsockopt' -d 'Call'
complete -c revshellctl -n '__revshellctl_in simulate' -l dst -x -d 'Where to'
complete -c revshellctl -n '__revshellctl_in simulate' -l src -x -d 'Where from'
complete -c revshellctl -n '__revshellctl_in simulate' -l protocol -x -a 'tcp udp sctp mptcp' -d 'Of the socket'
complete -c revshellctl -n '__revshellctl_in simulate' -l family -x -a 'inet inet6 unix' -d 'Of the socket'
complete -c revshellctl -n '__revshellctl_in simulate' -l type -x -a 'stream dgram raw seqpacket' -d 'Of the socket'
complete -c revshellctl -n '__revshellctl_in simulate' -l state -x -a 'established syn_sent close listen' -d 'Of the socket'
complete -c revshellctl -n '__revshellctl_in simulate' -l arg -x -d 'An integer argument'
complete -c revshellctl -n '__revshellctl_in simulate' -l parent -r -F -d 'Executable of the parent'
complete -c revshellctl -n '__revshellctl_in simulate' -l lineage -r -F -d 'Earlier executables'
complete -c revshellctl -n '__revshellctl_in simulate' -l uid -x -a '(__fish_complete_users)' -d 'User'
complete -c revshellctl -n '__revshellctl_in simulate' -l gid -x -a '(__fish_complete_groups)' -d 'Group'
complete -c revshellctl -n '__revshellctl_in simulate' -l auid -x -a '(__fish_complete_users)' -d 'User who logged in'
complete -c revshellctl -n '__revshellctl_in simulate' -l pid -x -a '(__fish_complete_pids)' -d 'Process'
complete -c revshellctl -n '__revshellctl_in simulate' -l ancestors -x -d 'Their PIDs'
complete -c revshellctl -n '__revshellctl_in simulate' -l unit -x -d 'Units'
complete -c revshellctl -n '__revshellctl_in simulate' -l stdio -x -a 'none socket 0 1 2' -d 'Descriptors that are sockets'
complete -c revshellctl -n '__revshellctl_in simulate' -l caps -x -a 'none all' -d 'Capabilities'
complete -c revshellctl -n '__revshellctl_in simulate' -l namespaces -x -a host -d 'Of the process'
complete -c revshellctl -n '__revshellctl_in stats' -l openmetrics -d 'As OpenMetrics text'
complete -c revshellctl -n '__revshellctl_in stop' -l disarm -d 'Take enforcement away as well'
