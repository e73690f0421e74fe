"""Names, places and streets for people who don't exist. Data only."""

from __future__ import annotations

_GIVEN = """
    Aarav Aditi Aditya Ajay Akash Amina Amit Amrita Anand Anika Anil Anita Anjali Ankit Aparna Arjun Arun Asha Ashok
    Ayesha Bala Bhavna Chandra Chitra Daksh Deepa Deepak Devika Dinesh Divya Esha Faisal Farah Farhan Gauri Geeta
    Girish Gopal Govind Gurpreet Hari Harini Harsh Hema Imran Indira Irfan Isha Jagdish Jasleen Jaya Jyoti Kabir
    Kailash Kamala Karan Kavita Kavya Kiran Krishna Lakshmi Lalit Lata Leela Madhav Madhuri Mahesh Malini Manish
    Manoj Mary Meena Meera Mihir Mohan Mohini Nalini Nandini Narayan Naveen Neha Nikhil Nisha Nitin Noor Padma
    Pallavi Parth Pooja Prabha Prakash Pranav Prem Priya Radha Raghav Rahul Raj Rajesh Rakesh Ramesh Rani Rashmi
    Ravi Reena Rekha Rhea Rohan Rohit Roshni Ruth Sachin Sagar Sameer Sandhya Sanjay Sarita Satish Seema Shabana
    Shalini Shankar Sheela Shiv Shreya Simran Smita Sneha Sonal Subhash Sudha Sunil Sunita Suresh Sushma Tanvi Tara
    Thomas Uday Uma Usha Varun Vasant Veena Vidya Vijay Vikram Vimala Vinod Vivek Yamini Yash Yusuf Zara Zoya
"""
_FAMILY = """
    Acharya Agarwal Ahmed Ali Bajwa Banerjee Barua Bhat Bhatt Bose Chatterjee Chauhan Chopra Das Datta Deshmukh
    Deshpande Dhillon D'Souza Dutta Fernandes Gandhi Ghosh Gill Gogoi Goswami Gowda Gupta Hegde Hussain Iyengar Iyer
    Jadhav Jain Jha Joshi Kamath Kapoor Kaur Khan Khanna Kohli Krishnan Kulkarni Kumar Kurian Lal Mahajan Malhotra
    Mathew Mehra Mehta Menon Mishra Mistry Mohanty Mukherjee Murthy Naidu Nair Narayanan Nayak Pandey Parekh Parmar
    Patel Patil Pawar Philip Pillai Prasad Rana Rao Rathore Ravindran Reddy Roy Sahoo Saini Saxena Sen Shah Sharma
    Shetty Shinde Siddiqui Singh Sinha Solanki Srinivasan Subramaniam Tandon Thakur Thomas Tiwari Trivedi Varghese
    Varma Verma Vyas Yadav Zaidi
"""
GIVEN, FAMILY = tuple(_GIVEN.split()), tuple(_FAMILY.split())
PLACES = (
    # city, state, first digits of its postal codes, how many people, out of a hundred read Hindi rather
    ("Pune", "Maharashtra", "4110", 12, 15),
    ("Mumbai", "Maharashtra", "4000", 11, 20),
    ("Bengaluru", "Karnataka", "5600", 13, 8),
    ("Mysuru", "Karnataka", "5700", 3, 5),
    ("Delhi", "Delhi", "1100", 10, 55),
    ("Jaipur", "Rajasthan", "3020", 5, 65),
    ("Lucknow", "Uttar Pradesh", "2260", 5, 70),
    ("Varanasi", "Uttar Pradesh", "2210", 3, 75),
    ("Indore", "Madhya Pradesh", "4520", 4, 65),
    ("Ahmedabad", "Gujarat", "3800", 6, 18),
    ("Surat", "Gujarat", "3950", 3, 18),
    ("Chennai", "Tamil Nadu", "6000", 6, 2),
    ("Coimbatore", "Tamil Nadu", "6410", 2, 2),
    ("Kochi", "Kerala", "6820", 4, 2),
    ("Hyderabad", "Telangana", "5000", 6, 15),
    ("Kolkata", "West Bengal", "7000", 6, 15),
    ("Guwahati", "Assam", "7810", 2, 20),
    ("Bhubaneswar", "Odisha", "7510", 2, 15),
    ("Chandigarh", "Chandigarh", "1600", 2, 45),
    ("Patna", "Bihar", "8000", 3, 75),
)
STREETS = (
    "Neem Marg",
    "Banyan Road",
    "Lotus Lane",
    "Peepal Street",
    "Gulmohar Road",
    "Jasmine Lane",
    "Tamarind Street",
    "Mango Grove Road",
    "Old Well Road",
    "Clock Tower Road",
    "Lake View Road",
    "Station Lane",
    "Temple Tank Street",
    "Kite Maker's Lane",
    "Coriander Street",
    "Sample Road",
)
