#!/usr/bin/perl
# Shows the hostfile, and has each worker in it say hello. Ends with 0 only if all of them did.
use strict;
use warnings;
use IO::Socket::INET;

open(my $file, '<', $ENV{DGRID_HOSTFILE}) or die "head: cannot read the hostfile $ENV{DGRID_HOSTFILE}: $!\n";
my $hostfile = do { local $/; <$file> };
$hostfile =~ s/\s+$//;
print "The hostfile: $hostfile\n";

# {"workers": ["node2", "node3"]}: real programs use a JSON library, which the smallest image does not have.
my ($list) = $hostfile =~ /"workers":\s*\[(.*?)\]/s or die "head: the hostfile has no workers\n";
for my $host ($list =~ /"([^"]+)"/g) {
    my $worker = IO::Socket::INET->new(PeerAddr => "$host:7000", Timeout => 10)
        or die "head: cannot reach the worker on $host: $@\n";
    print scalar(<$worker>) // die "head: the worker on $host said nothing\n";
}
