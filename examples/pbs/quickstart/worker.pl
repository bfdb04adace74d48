#!/usr/bin/perl
# Greets whoever connects to port 7000, for as long as the run lasts.
use strict;
use warnings;
use IO::Socket::INET;

# A caller may hang up unheard, as the check whether this worker is ready does.
$SIG{PIPE} = 'IGNORE';

my $listener = IO::Socket::INET->new(LocalPort => 7000, Listen => 5, ReuseAddr => 1)
    or die "worker: cannot listen on port 7000: $@\n";

while (my $caller = $listener->accept) {
    print $caller "Hello from $ENV{DGRID_NAME} on $ENV{DGRID_NODE}\n";
    close $caller;
}
