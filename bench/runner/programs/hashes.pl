# Hashes of arrays, string building and regular expressions.
use strict;
use warnings;

my ($rounds) = @ARGV;
my $total = 0;
for my $turn (1 .. $rounds) {
    my %seen;
    for my $i (1 .. 20000) {
        my $key = "entry " . ($i * 7919 % 5003);
        push @{ $seen{$key} }, "value $i of $turn";
    }
    for my $key (sort keys %seen) {
        my $line = join ",", @{ $seen{$key} };
        $total += length $line;
        $total += () = $line =~ /(\d+) of/g;
    }
}
print "$total\n";
